"""What a login is and what its refresh tokens lead to; what tokens look like is in tokens.py."""

import uuid
from dataclasses import dataclass
from enum import Enum, auto

from runtime.context import Caller
from runtime.errors import FieldProblem, InvalidArgument

REFRESH_GRACE_MS = 60_000
"""How long a refresh token still works after the one that replaced it was used."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login and its family of refresh tokens, of which `generation` is the newest issued, at `rotated_at_ms`."""

    session_id: uuid.UUID
    user_id: uuid.UUID
    generation: int
    rotated_at_ms: int


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
