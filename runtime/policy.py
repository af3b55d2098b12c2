"""Who may call an rpc, judged from its contract and the caller alone; rules about single objects are the services' own."""

import uuid
from typing import Protocol

from aviary.mesh.v1 import mesh_pb2, reason_pb2
from aviary.options.v1 import options_pb2
from google.protobuf.message import Message

from runtime.context import Caller
from runtime.contract import Method
from runtime.errors import FieldProblem, PermissionDenied, Unauthenticated, common


class InsufficientScope(PermissionDenied):
    """The token lacks the scope that the rpc needs."""

    reason = common(reason_pb2.REASON_INSUFFICIENT_SCOPE)


class NotYourUserId(PermissionDenied):
    """A user_id or follower_id was given that is not the caller's own."""

    reason = common(reason_pb2.REASON_NOT_YOUR_USER_ID)


class Policy(Protocol):
    """What states who may use it: an rpc by its contract, a handwritten route of the edge in code."""

    @property
    def name(self) -> str:
        """For the text of a refusal."""

    @property
    def access(self) -> int:
        """A value of aviary.options.v1.Access."""

    @property
    def scope(self) -> str:
        """The scope that a token needs, empty for none."""


_ROLES: dict[int, tuple[int, ...]] = {
    options_pb2.ACCESS_MODERATOR: (mesh_pb2.ROLE_MODERATOR, mesh_pb2.ROLE_ADMIN),
    options_pb2.ACCESS_ADMIN: (mesh_pb2.ROLE_ADMIN,),
}


def ensure_may_call(policy: Policy, caller: Caller) -> None:
    """Raise Unauthenticated, PermissionDenied or InsufficientScope unless the policy lets the caller in."""
    access = policy.access
    if access == options_pb2.ACCESS_SERVICE:
        if not caller.service:
            raise PermissionDenied(f"{policy.name} is for services of the mesh")
    elif access == options_pb2.ACCESS_USER or access in _ROLES:
        if not caller.user_id:
            raise Unauthenticated(f"{policy.name} needs a signed-in user")
        if access in _ROLES and caller.role not in _ROLES[access]:
            raise PermissionDenied(f"{policy.name} needs another role than the caller has")
    elif access != options_pb2.ACCESS_ANONYMOUS:
        raise PermissionDenied(f"{policy.name} states no policy")
    if policy.scope and caller.user_id and policy.scope not in caller.scopes:
        raise InsufficientScope(f"{policy.name} needs the scope {policy.scope}", scope=policy.scope)


def ensure_own_ids(method: Method, request: Message, caller: Caller) -> None:
    """Raise NotYourUserId when a field that names the acting user names another one. Expects validated ids."""
    for field in method.caller_fields:
        if request.HasField(field):
            given: str = getattr(request, field)
            if uuid.UUID(given).bytes != caller.user_id:
                raise NotYourUserId(
                    f"{field} is not the caller's own id",
                    fields=[FieldProblem(field, "must be the id of the signed-in user, or absent")],
                )
