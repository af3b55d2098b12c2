"""What an account is, how it changes, and who sees what of it; whose its names are is in names.py, its logins in logins.py."""

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from aviary.mesh.v1 import mesh_pb2
from aviary.user.v1 import user_pb2

from runtime.context import OWN_SCOPE, Caller
from runtime.errors import FieldProblem, InvalidArgument
from runtime.ids import ms_of

NO_ACCOUNT = uuid.UUID(int=0)
"""An id that no account has: looking it up costs what looking up a real one costs."""

STATES = ("status", "limited", "role")
"""What is told of an account with when it was written."""

_ROLES = {mesh_pb2.ROLE_UNSPECIFIED: "user", mesh_pb2.ROLE_MODERATOR: "moderator", mesh_pb2.ROLE_ADMIN: "admin"}


@dataclass(frozen=True, slots=True)
class User:
    """An account. `email` is sealed (see emails.py), empty for an imported account; `version` is the microseconds of its last
    change, 0 when it never changed. `status_us`, `limited_us` and `role_us` say when each of these was written, 0 for never: who
    changes something else may have read them before.
    """

    user_id: uuid.UUID
    username: str
    display_name: str
    bio: str = ""
    verified: bool = False
    email: bytes = b""
    version: int = 0
    status: "user_pb2.UserStatus.ValueType" = user_pb2.USER_STATUS_ACTIVE
    limited: bool = False
    role: "mesh_pb2.Role.ValueType" = mesh_pb2.ROLE_UNSPECIFIED
    status_us: int = field(default=0, compare=False)
    limited_us: int = field(default=0, compare=False)
    role_us: int = field(default=0, compare=False)

    @property
    def changed_us(self) -> int:
        """When it was changed last, or else made, in microseconds."""
        return self.version or ms_of(self.user_id.bytes) * 1000


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some of all accounts, and where the next page starts: empty after the last."""

    users: list[User]
    next_after: bytes


def next_version(user: User, now_us: int) -> int:
    """The version of a change that is made now: above the account's own, so that the change wins over what it was made from."""
    return max(now_us, user.changed_us + 1)


def changed_at(before: User, after: User, version: int) -> User:
    """The account as a change of this version leaves it: what differs of its state was written then."""
    written: dict[str, Any] = {
        f"{name}_us": version for name in STATES if getattr(after, name) != getattr(before, name)
    }
    return replace(after, version=version, **written)


def with_profile(user: User, request: user_pb2.UpdateAccountRequest) -> User:
    """The account with the names and texts that the request gives; its e-mail address is not here."""
    given = {name: getattr(request, name) for name in ("username", "display_name", "bio") if request.HasField(name)}
    return replace(user, **given)


def with_state(user: User, request: user_pb2.SetAccountStateRequest) -> User:
    """The account with the status, role, badge and limitation that the request gives."""
    return replace(user, **{field.name: value for field, value in request.ListFields() if field.name != "user_id"})


def ensure_password_given(request: user_pb2.UpdateAccountRequest) -> None:
    """Raises InvalidArgument, naming current_password, when there is another e-mail address without it."""
    if request.HasField("email") and not request.HasField("current_password"):
        problem = FieldProblem("current_password", "is needed with email")
        raise InvalidArgument("another e-mail address needs the password", fields=[problem])


def may_see_email(caller: Caller) -> bool:
    """Whether the owner of an account calls by a login of the owner's own: apps are not shown the e-mail address."""
    return OWN_SCOPE in caller.scopes


def public_view(user: User) -> user_pb2.User:
    """The account as anybody may see it; counts are other services' to fill. What an account says of itself goes with its status."""
    view = user_pb2.User(
        user_id=str(user.user_id),
        username=user.username,
        display_name=user.display_name,
        bio=user.bio if user.status == user_pb2.USER_STATUS_ACTIVE else "",
        verified=user.verified,
        limited=user.limited,
        status=user.status,
    )
    view.created_at.FromMilliseconds(ms_of(user.user_id.bytes))
    view.updated_at.FromMicroseconds(user.changed_us)
    return view


def own_view(user: User, email: str) -> user_pb2.User:
    """The account as its owner sees it. An imported account has no e-mail address."""
    view = public_view(user)
    view.bio = user.bio
    view.role = _ROLES[user.role]
    if email:
        view.email = email
    return view
