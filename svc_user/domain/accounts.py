"""What an account is and who sees what of it; whose its names are is in names.py, its logins in logins.py."""

import uuid
from dataclasses import dataclass

from aviary.user.v1 import user_pb2

from runtime.ids import ms_of

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
class UserPage:
    """Some of all accounts, and where the next page starts: empty after the last."""

    users: list[User]
    next_after: bytes


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
