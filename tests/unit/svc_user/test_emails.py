"""E-mail addresses are sealed to their account and found by a keyed hash."""

import uuid

import pytest
from cryptography.exceptions import InvalidTag

from runtime.config import Secret
from svc_user.emails import Emails

ALICE, BOB = uuid.UUID(int=1), uuid.UUID(int=2)
ADDRESS = "Alice@Example.org"


def test_a_sealed_address_opens_as_it_was_written() -> None:
    emails = Emails(Secret(b"k" * 32))
    assert emails.open(emails.seal(ADDRESS, ALICE), ALICE) == ADDRESS


def test_the_same_address_sealed_twice_looks_different() -> None:
    emails = Emails(Secret(b"k" * 32))
    assert emails.seal(ADDRESS, ALICE) != emails.seal(ADDRESS, ALICE)


def test_a_sealed_address_does_not_open_for_another_account_or_key_or_when_changed() -> None:
    emails = Emails(Secret(b"k" * 32))
    sealed = emails.seal(ADDRESS, ALICE)
    changed = bytes([*sealed[:-1], sealed[-1] ^ 1])
    for opener, text, user_id in (
        (emails, sealed, BOB),
        (emails, changed, ALICE),
        (Emails(Secret(b"o" * 32)), sealed, ALICE),
    ):
        with pytest.raises(InvalidTag):
            opener.open(text, user_id)


def test_nothing_stored_shows_the_address_or_can_be_computed_without_the_key() -> None:
    emails, other = Emails(Secret(b"k" * 32)), Emails(Secret(b"o" * 32))
    assert b"lice" not in emails.seal(ADDRESS, ALICE) + emails.claim_key(ADDRESS)
    assert emails.claim_key(ADDRESS) != other.claim_key(ADDRESS)


def test_spellings_that_differ_in_case_have_one_key() -> None:
    emails = Emails(Secret(b"k" * 32))
    assert emails.claim_key(ADDRESS) == emails.claim_key(ADDRESS.upper())
    assert emails.claim_key(ADDRESS) != emails.claim_key("x" + ADDRESS)
