"""Who may have a password hashed, and when; what is refused as a password. The hashing itself: tests/integration/test_hashing.py."""

import asyncio

import pytest

from svc_user.errors import TooManyLogins
from svc_user.passwords import LONGEST_WAIT_S, Passwords, common_passwords
from tests.unit.svc_user.hashing import CheapHashing, HeldHashing, SlowHashing, passwords_by


def test_common_passwords_are_many_long_enough_to_matter_and_in_lower_case() -> None:
    common = common_passwords()
    assert len(common) == 5000
    assert all(len(password) >= 8 and password == password.lower() for password in common)
    assert {"password", "12345678", "iloveyou", "qwertyuiop"} <= common


async def check(passwords: Passwords, stored: str) -> bool:
    with passwords.place() as place:
        return await place.matches(stored, "horse")


async def test_a_place_is_given_back_however_its_block_ends() -> None:
    passwords = passwords_by(CheapHashing(), waiting=0)
    with pytest.raises(ZeroDivisionError), passwords.place():
        raise ZeroDivisionError
    with passwords.place(), pytest.raises(TooManyLogins), passwords.place():
        pass
    with passwords.place():
        pass


async def test_who_gave_up_while_waiting_is_hashed_for_no_more() -> None:
    hashing = HeldHashing()
    passwords = passwords_by(hashing, waiting=2)
    stored = await hashing.hash("horse")
    first, second, third = (asyncio.ensure_future(check(passwords, stored)) for _ in range(3))
    await hashing.begun.wait()
    second.cancel()
    await asyncio.wait([second])
    hashing.go.set()
    assert await first and await third
    assert hashing.checks == 2


async def test_who_gave_up_leaves_the_place_to_others() -> None:
    hashing = HeldHashing()
    passwords = passwords_by(hashing, waiting=0)
    stored = await hashing.hash("horse")
    gone = asyncio.ensure_future(check(passwords, stored))
    await hashing.begun.wait()
    gone.cancel()
    await asyncio.wait([gone])
    hashing.go.set()
    assert await check(passwords, stored)


async def test_the_line_is_only_as_long_as_it_moves_in_time() -> None:
    """Whoever stands further back would be answered when nobody waits any more, and what was hashed for them would be wasted."""
    hashing = SlowHashing(0.6 * LONGEST_WAIT_S)
    passwords = passwords_by(hashing, waiting=64)
    stored = await hashing.hash("horse")
    for _ in range(50):
        assert await check(passwords, stored)
    with passwords.place(), passwords.place(), pytest.raises(TooManyLogins), passwords.place():
        pass
    hashing.each_s = LONGEST_WAIT_S / 1000
    for _ in range(50):
        assert await check(passwords, stored)
    with passwords.place(), passwords.place(), passwords.place():
        pass


async def test_however_slow_hashing_is_who_finds_nobody_waiting_has_a_place() -> None:
    hashing = SlowHashing(1000 * LONGEST_WAIT_S)
    passwords = passwords_by(hashing, waiting=64)
    stored = await hashing.hash("horse")
    for _ in range(3):
        assert await check(passwords, stored)
