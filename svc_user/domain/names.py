"""Unique names and claims of them: how long a claim holds without an account; accounts themselves are in accounts.py."""

import uuid
from dataclasses import dataclass

from runtime.ids import ms_of

FINISH_WITHIN_MS = 30_000
"""An account is written only while its claims are younger than this, long before anybody may take them over."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a unique name. The id was chosen for the claim, so its time is when the claim was made."""

    user_id: uuid.UUID
    imported: bool = False

    @property
    def claimed_at_ms(self) -> int:
        """When the claim was made."""
        return ms_of(self.user_id.bytes)


def is_abandoned(claim: Claim, now_ms: int, abandoned_after_ms: int) -> bool:
    """Whether a claim without an account is so old that whoever made it must have died."""
    return now_ms - claim.claimed_at_ms >= abandoned_after_ms


def may_finish(claim: Claim, now_ms: int, abandoned_after_ms: int) -> bool:
    """Whether the account of a claim may still be written without meeting somebody who takes the claim over.

    A registration has FINISH_WITHIN_MS. An import is continued by later calls, so it may until that long before it counts as abandoned.
    """
    limit = abandoned_after_ms - FINISH_WITHIN_MS if claim.imported else FINISH_WITHIN_MS
    return now_ms - claim.claimed_at_ms < limit


def username_key(username: str) -> bytes:
    """Under what a username is claimed: unique without regard to case."""
    return b"username:" + username.lower().encode()


def is_email(login: str) -> bool:
    """Whether somebody logs in with an e-mail address; no username has an @."""
    return "@" in login
