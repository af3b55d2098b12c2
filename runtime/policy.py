"""Who may call an rpc, judged from its contract and the caller alone; rules about single objects are the services' own."""

import uuid

from aviary.mesh.v1 import reason_pb2
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


def ensure_may_call(method: Method, caller: Caller) -> None:
    """Raise Unauthenticated, PermissionDenied or InsufficientScope unless the contract lets the caller in."""
    if method.access == options_pb2.ACCESS_SERVICE:
        if not caller.service:
            raise PermissionDenied(f"{method.name} is for services of the mesh")
    elif method.access == options_pb2.ACCESS_USER:
        if not caller.user_id:
            raise Unauthenticated(f"{method.name} needs a signed-in user")
    elif method.access != options_pb2.ACCESS_ANONYMOUS:
        raise PermissionDenied(f"{method.name} states no policy")
    if method.scope and caller.user_id and method.scope not in caller.scopes:
        raise InsufficientScope(f"{method.name} needs the scope {method.scope}", scope=method.scope)


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
