"""Failures as types: each carries a gRPC status and a reason of a proto enum; how they are shown to clients is the edge's matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import grpc
from aviary.mesh.v1 import reason_pb2
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

DOMAIN = "aviary"
STATUS_KEY = "grpc-status-details-bin"


class ReasonEnum(Protocol):
    """A generated `Reason` enum of any area."""

    def Name(self, number: Any) -> str:  # noqa: N802 - the generated spelling
        """The name of a value."""


def named(enum: ReasonEnum, value: Any) -> str:
    """The wire name of a reason: its enum name without `REASON_`."""
    return enum.Name(value).removeprefix("REASON_")


def common(value: "reason_pb2.Reason.ValueType") -> str:
    """The wire name of a reason that no single area owns."""
    return named(reason_pb2.Reason, value)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of a request, and what is allowed."""

    field: str
    message: str


class ServiceError(Exception):
    """A failure with a meaning. Subclasses fix status and reason; the text may change, the reason may not."""

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    reason: str = common(reason_pb2.REASON_INTERNAL)

    def __init__(
        self,
        detail: str,
        /,
        *,
        fields: Sequence[FieldProblem] = (),
        retry_after_s: float | None = None,
        **metadata: object,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)
        self.retry_after_s = retry_after_s
        self.metadata = {k: str(v) for k, v in metadata.items()}


class InvalidArgument(ServiceError):
    """The request itself is wrong; `fields` names what."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = common(reason_pb2.REASON_INVALID_REQUEST)


class FailedPrecondition(ServiceError):
    """The request is well-formed but against a rule."""

    status = grpc.StatusCode.FAILED_PRECONDITION


class Unauthenticated(ServiceError):
    """Nobody, or nobody known, is calling."""

    status = grpc.StatusCode.UNAUTHENTICATED
    reason = common(reason_pb2.REASON_TOKEN_MISSING)


class PermissionDenied(ServiceError):
    """The caller is known and may not."""

    status = grpc.StatusCode.PERMISSION_DENIED
    reason = common(reason_pb2.REASON_NOT_ALLOWED)


class NotFound(ServiceError):
    """Absent, deleted, or not visible to the caller."""

    status = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ServiceError):
    """A unique thing is taken."""

    status = grpc.StatusCode.ALREADY_EXISTS


class ResourceExhausted(ServiceError):
    """Too much was asked for; later it may go."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(ServiceError):
    """A dependency is down. Retrying later is right, and consumers wait instead of counting a failure."""

    status = grpc.StatusCode.UNAVAILABLE
    reason = common(reason_pb2.REASON_DEPENDENCY_UNAVAILABLE)


class Overloaded(Unavailable):
    """Refused before anything was done: more is at work than a process takes at once."""

    reason = common(reason_pb2.REASON_OVERLOADED)


class DeadlineExceeded(ServiceError):
    """The time for the answer ran out; the effect is unknown."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = common(reason_pb2.REASON_DEADLINE_EXCEEDED)


class InvalidCursor(InvalidArgument):
    """A cursor was changed, belongs to another list or viewer, or expired."""

    reason = common(reason_pb2.REASON_INVALID_CURSOR)


class RemoteError(ServiceError):
    """A failure that another service answered with, kept as it came."""

    def __init__(
        self,
        status: grpc.StatusCode,
        reason: str,
        detail: str,
        fields: Sequence[FieldProblem],
        retry_after_s: float | None,
    ) -> None:
        super().__init__(detail, fields=fields, retry_after_s=retry_after_s)
        self.status = status  # type: ignore[misc]  # a class constant of the others, a value here
        self.reason = reason


def to_status(error: ServiceError) -> status_pb2.Status:
    """The error as google.rpc.Status with ErrorInfo, BadRequest for fields and RetryInfo where it knows a time."""
    status = status_pb2.Status(code=error.status.value[0], message=error.detail)
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)]
    if error.fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=f.field, description=f.message) for f in error.fields
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration(nanos=0)
        delay.FromMilliseconds(int(error.retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def from_rpc(error: aio.AioRpcError) -> ServiceError:
    """The failure that a call raised, with its reason and fields; a call that reached nobody is `Unavailable`."""
    raw = dict(error.trailing_metadata() or ()).get(STATUS_KEY)
    if not isinstance(raw, bytes):
        return _without_details(error)
    status = status_pb2.Status.FromString(raw)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    after: float | None = None
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad)
        if detail.Unpack(retry):
            after = retry.retry_delay.ToMilliseconds() / 1000
    if info.reason == common(reason_pb2.REASON_CALLER_REFUSED):
        # The mesh does not trust itself: no user has to log in for it, and no consumer may take it for a failure of a message.
        return Unavailable(status.message, retry_after_s=1)
    fields = [FieldProblem(v.field, v.description) for v in bad.field_violations]
    return RemoteError(error.code(), info.reason, status.message, fields, after)


def _without_details(error: aio.AioRpcError) -> ServiceError:
    detail = error.details() or error.code().name
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(detail)
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return Unavailable(detail, retry_after_s=1)
    return RemoteError(error.code(), common(reason_pb2.REASON_INTERNAL), detail, (), None)
