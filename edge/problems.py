"""Failures as clients see them: RFC 9457 documents with api.md's statuses; what went wrong is decided elsewhere."""

import math
from typing import ClassVar

import grpc
import orjson
from aviary.mesh.v1 import reason_pb2

from edge.web import Header, Response
from runtime.errors import InvalidArgument, NotFound, ServiceError, common

CONTENT_TYPE = b"application/problem+json"

HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 422,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# What a client is told of failures that are ours: the true text may hold addresses of the mesh and stands in the log.
_OURS = {
    500: "something went wrong here; the log has it under the request id",
    501: "this is not available yet",
    503: "something that this needs is down or busy; try again later",
    504: "the answer took too long; whether anything was changed is not known",
}
_WAIT_AT_LEAST_S = 1
_OF_TOKENS = (common(reason_pb2.REASON_TOKEN_INVALID), common(reason_pb2.REASON_TOKEN_EXPIRED))
_BAD_TOKEN = b', error="invalid_token"'


class RouteNotFound(NotFound):
    """No contract and no page has this path."""

    reason = common(reason_pb2.REASON_ROUTE_NOT_FOUND)


class HttpRefused(InvalidArgument):
    """A request that HTTP itself has a status for; such failures exist at the edge only."""

    http_status: ClassVar[int]
    closes: bool = False
    """The connection cannot be used further: where the next request begins is not known."""


class MethodNotAllowed(HttpRefused):
    """The path exists, but not with this method."""

    http_status = 405
    reason = common(reason_pb2.REASON_METHOD_NOT_ALLOWED)

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method} is not possible here; possible are {', '.join(allowed)}")
        self.allowed = allowed


class BodyTooLarge(HttpRefused):
    """The body is larger than the route takes. What still comes of it is read and dropped, lest a reset swallows the answer."""

    http_status = 413
    reason = common(reason_pb2.REASON_BODY_TOO_LARGE)


class UnsupportedMediaType(HttpRefused):
    """The body is not application/json."""

    http_status = 415
    reason = common(reason_pb2.REASON_UNSUPPORTED_MEDIA_TYPE)


class HeadersTooLarge(HttpRefused):
    """The head of the request is larger than the edge reads."""

    http_status = 431
    closes = True
    reason = common(reason_pb2.REASON_HEADERS_TOO_LARGE)


class BodyTooSlow(HttpRefused):
    """The body did not arrive in time."""

    http_status = 400
    closes = True


class ClientGone(ServiceError):
    """The client went away before it had sent everything."""

    status = grpc.StatusCode.CANCELLED
    reason = common(reason_pb2.REASON_CANCELLED)


def http_status(error: ServiceError) -> int:
    """The HTTP status of a failure."""
    return error.http_status if isinstance(error, HttpRefused) else HTTP_STATUS.get(error.status, 500)


def render(error: ServiceError, request_id: str) -> Response:
    """The answer that tells a client of a failure."""
    status = http_status(error)
    document: dict[str, object] = {
        "type": f"urn:aviary:reason:{error.reason}",
        "title": error.reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": _OURS.get(status, error.detail),
        "reason": error.reason,
        "request_id": request_id,
    }
    if error.fields or status == 400:
        document["errors"] = [{"field": problem.field, "message": problem.message} for problem in error.fields]
    body = orjson.dumps(document)
    return Response(status, body, CONTENT_TYPE, [(b"cache-control", b"no-store"), *_headers(error, status)])


def _headers(error: ServiceError, status: int) -> list[Header]:
    """What a status asks for beside the document."""
    if status == 401:
        return [(b"www-authenticate", b'Bearer realm="aviary"' + (_BAD_TOKEN if error.reason in _OF_TOKENS else b""))]
    if status in (429, 503):
        wait = max(_WAIT_AT_LEAST_S, math.ceil(error.retry_after_s or 0))
        return [(b"retry-after", str(wait).encode())]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", ", ".join(error.allowed).encode())]
    if isinstance(error, HttpRefused) and error.closes:
        return [(b"connection", b"close")]
    return []
