"""What an account, a claim of a name and a login are, and the rules about them; no I/O here."""

import uuid
from dataclasses import dataclass
from enum import Enum, auto

from aviary.user.v1 import user_pb2

from runtime.context import Caller
from runtime.errors import FieldProblem, InvalidArgument
from runtime.ids import ms_of

FINISH_WITHIN_MS = 30_000
"""An account is written only while its claims are younger than this, long before anybody may take them over."""

REFRESH_GRACE_MS = 60_000
"""How long a refresh token still works after the one that replaced it was used."""

NO_ACCOUNT = uuid.UUID(int=0)
"""An id that no account has: looking it up costs what looking up a real one costs."""


@dataclass(frozen=True, slots=True)
class User:
    """An account. `email` is sealed (see emails.py), empty for an imported account."""

    user_id: uuid.UUID
    username: str
    display_name: str
    bio: str = ""
    verified: bool = False
    email: bytes = b""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a unique name. The id was chosen for the claim, so its time is when the claim was made."""

    user_id: uuid.UUID
    imported: bool = False

    @property
    def claimed_at_ms(self) -> int:
        """When the claim was made."""
        return ms_of(self.user_id.bytes)


@dataclass(frozen=True, slots=True)
class Session:
    """A login and its family of refresh tokens, of which `generation` is the newest issued, at `rotated_at_ms`."""

    session_id: uuid.UUID
    user_id: uuid.UUID
    generation: int
    rotated_at_ms: int


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some of all accounts, and where the next page starts: empty after the last."""

    users: list[User]
    next_after: bytes


class Refresh(Enum):
    """What a presented refresh token leads to."""

    ROTATE = auto()
    """It is the newest: issue the next one."""
    REPEAT = auto()
    """It was exchanged before and still works: answer with the same successor again."""
    END = auto()
    """It was exchanged long ago, so somebody has a stolen copy: the login ends."""


def judge_refresh(presented: int, session: Session, now_ms: int) -> Refresh:
    """What generation `presented` leads to. It works until its successor was used once, and REFRESH_GRACE_MS longer.

    The answer is always generation `presented + 1`: whoever asks, and however often, gets the same token.
    """
    age = session.generation - presented
    if age == 0:
        return Refresh.ROTATE
    if age == 1:
        return Refresh.REPEAT
    if age == 2 and now_ms < session.rotated_at_ms + REFRESH_GRACE_MS:
        return Refresh.REPEAT
    return Refresh.END


def ensure_may_end(session: Session, caller: Caller) -> None:
    """Raises InvalidArgument, naming refresh_token, when the login is somebody else's."""
    if session.user_id.bytes != caller.user_id:
        raise no_own_login()


def no_own_login() -> InvalidArgument:
    """What to raise when a request to end a login names none of the caller's; why not is not said."""
    problem = FieldProblem("refresh_token", "must be a refresh token of your own")
    return InvalidArgument("no login of yours is meant", fields=[problem])


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


def public_view(user: User) -> user_pb2.User:
    """The account as anybody may see it. Nothing has changed since it was made, and counts are other services' to fill."""
    view = user_pb2.User(
        user_id=str(user.user_id),
        username=user.username,
        display_name=user.display_name,
        bio=user.bio,
        verified=user.verified,
        status=user_pb2.USER_STATUS_ACTIVE,
    )
    view.created_at.FromMilliseconds(ms_of(user.user_id.bytes))
    view.updated_at.CopyFrom(view.created_at)
    return view


def own_view(user: User, email: str) -> user_pb2.User:
    """The account as its owner sees it. An imported account has no e-mail address."""
    view = public_view(user)
    view.role = "user"
    if email:
        view.email = email
    return view
