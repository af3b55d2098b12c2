"""Unique names and claims of them: which are refused, how long a claim holds; accounts themselves are in accounts.py."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.errors import FieldProblem
from runtime.ids import ms_of
from svc_user.errors import RenameLimitReached, UsernameReserved

FINISH_WITHIN_MS = 30_000
"""An account is written only while its claims are younger than this, long before anybody may take them over."""

HELD_S = 30 * 24 * 3600
"""For so long a username that its account gave up is nobody else's, and one that it took counts against how many it may take."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a unique name.

    Beside an account that bears the name, a claim holds until `until_ms`; a claim for a new account until some time after its id,
    which was chosen for it. `version` is the timestamp with which the account's name is written, that of the id when it is None.
    """

    user_id: uuid.UUID
    imported: bool = False
    until_ms: int | None = None
    version: int | None = None

    @property
    def claimed_at_ms(self) -> int:
        """When a claim for a new account was made."""
        return ms_of(self.user_id.bytes)

    @property
    def written_us(self) -> int:
        """The timestamp with which the name of the account is written."""
        return self.claimed_at_ms * 1000 if self.version is None else self.version


def is_abandoned(claim: Claim, now_ms: int, abandoned_after_ms: int) -> bool:
    """Whether a claim of a name that no account bears holds no more: whoever made it must have died, or gave the name up long ago."""
    until_ms = claim.claimed_at_ms + abandoned_after_ms if claim.until_ms is None else claim.until_ms
    return now_ms >= until_ms


def may_finish(claim: Claim, now_ms: int, abandoned_after_ms: int) -> bool:
    """Whether the account of a claim may still be written without meeting somebody who takes the claim over.

    A registration has FINISH_WITHIN_MS. An import is continued by later calls, so it may until that long before it counts as abandoned.
    """
    limit = abandoned_after_ms - FINISH_WITHIN_MS if claim.imported else FINISH_WITHIN_MS
    return now_ms - claim.claimed_at_ms < limit


def lately(renames: Mapping[bytes, int], now_ms: int) -> dict[bytes, int]:
    """Those of the names that an account took, each with when, which still count."""
    return {key: at_ms for key, at_ms in renames.items() if now_ms < at_ms + HELD_S * 1000}


def ensure_may_rename(counted: Mapping[bytes, int], most: int, now_ms: int) -> None:
    """Raises RenameLimitReached, with the wait until one counts no more, for an account that took as many names as it may."""
    if len(counted) >= most:
        makes_room_ms = sorted(counted.values())[len(counted) - most] + HELD_S * 1000
        raise RenameLimitReached(most, HELD_S // (24 * 3600), makes_room_ms - now_ms)


def username_key(username: str) -> bytes:
    """Under what a username is claimed: unique without regard to case."""
    return b"username:" + username.lower().encode()


def is_email(login: str) -> bool:
    """Whether somebody logs in with an e-mail address; no username has an @."""
    return "@" in login


def ensure_unreserved(username: str) -> None:
    """Raises UsernameReserved for a name that is kept for the system, or that an eye takes for one."""
    if _shape(username) in _RESERVED_SHAPES:
        text = "is kept for the system, or easily taken for a name that is"
        raise UsernameReserved(f"the username {text}", fields=[FieldProblem("username", text)])


def _shape(username: str) -> str:
    """What is left of a name for an eye in a hurry: without case and underscores, digits and pairs read as the letters they look like."""
    letters = re.sub("_", "", username.lower()).translate(_LOOKS_LIKE)
    return letters.replace("rn", "m").replace("vv", "w")


_LOOKS_LIKE = str.maketrans("0134579682", "oleastgbbz") | {ord("i"): "l"}
_RESERVED = """
    admin administrator admins anonymous api aviary aviaryapp aviaryhq aviaryteam billing deleted developer everyone help helpdesk
    hostmaster info legal login logout mail mailer_daemon me media mod moderation moderator moderators mods nobody noreply
    notifications null oauth official postmaster privacy register root security service settings staff status stream superuser
    support supportteam suspended sysadmin system team undefined verified webmaster www
"""
_RESERVED_SHAPES = frozenset(_shape(name) for name in _RESERVED.split())
