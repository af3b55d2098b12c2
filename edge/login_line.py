"""The line for passwords at svc_user, as the edge knows it: while that is full, who comes is refused here and costs svc_user nothing."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from aviary.user.v1 import reason_pb2, user_pb2
from google.protobuf.message import Message
from grpc import aio

from edge.routes import Route
from runtime.errors import ServiceError, from_rpc, named

FULL_FOR_S = 0.1

_FULL = named(reason_pb2.Reason, reason_pb2.REASON_TOO_MANY_LOGINS)


class LoginLine:
    """Remembers for a moment that the line was full, or until somebody comes back from it through this edge.

    Another edge's may come back without our knowing. What stays empty meanwhile are places at the end of a line that takes longer
    than the moment, so hashing has work all the time, and nobody is let in later for it.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._refusal: ServiceError | None = None
        self._full_until = -math.inf

    def of(self, route: Route) -> "LoginLine | None":
        """This line, for the routes on which nobody gets anywhere without a password; None for others."""
        stands = route.request_type.file.name == user_pb2.DESCRIPTOR.name
        return self if stands and "password" in route.request_type.fields_by_name else None

    async def ask(self, call: Callable[[Message], Awaitable[Any]], message: Message) -> Any:
        """What the call answers. Raises what it raises, or the refusal that somebody else had."""
        if self._refusal and self._now() < self._full_until:
            raise self._refusal.with_traceback(None)
        full_until = -math.inf
        try:
            return await call(message)
        except aio.AioRpcError as error:
            refusal = from_rpc(error)
            if refusal.reason == _FULL:
                self._refusal, full_until = refusal, self._now() + FULL_FOR_S
            raise
        finally:
            self._full_until = full_until
