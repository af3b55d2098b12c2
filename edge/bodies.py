"""Reading the body of a request within bounds of size and time; what it says is json_codec's part, or a form's."""

import asyncio

from edge.json_codec.parse import parse
from edge.problems import BodyTooLarge, BodyTooSlow, ClientGone, UnsupportedMediaType
from edge.web import JSON, Request

MAX_BYTES = 64 * 1024
_ARRIVES_WITHIN_S = 10


async def read_json(request: Request) -> object:
    """The parsed body; an empty one is an empty object. Raises InvalidArgument and the failures of problems.py."""
    body = await read_body(request, JSON)
    return parse(body) if body else {}


async def read_body(request: Request, wanted: bytes) -> bytes:
    """The body, of the wanted content type unless it is empty. Raises the failures of problems.py."""
    body = await _read(request)
    if body and request.headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise UnsupportedMediaType("the body must not be compressed")
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if body and kind != wanted:
        raise UnsupportedMediaType(f"the body must be {wanted.decode()}")
    return body


async def _read(request: Request) -> bytes:
    length = request.headers.get(b"content-length")
    if length is None and b"transfer-encoding" not in request.headers:
        return b""
    if length is not None and int(length) > MAX_BYTES:
        raise _too_large(request)
    try:
        async with asyncio.timeout(_ARRIVES_WITHIN_S):
            return await _collect(request)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {_ARRIVES_WITHIN_S} s") from None


async def _collect(request: Request) -> bytes:
    body = bytearray()
    while True:
        event = await request.receive()
        if event["type"] == "http.disconnect":
            raise ClientGone("the client went away")
        body += event.get("body", b"")
        if len(body) > MAX_BYTES:
            raise _too_large(request)
        if not event.get("more_body", False):
            return bytes(body)


def _too_large(request: Request) -> BodyTooLarge:
    error = BodyTooLarge(f"the body must not be larger than {MAX_BYTES} bytes")
    # Who waits for 100-continue may send the body or the next request; nobody can tell which.
    error.closes = b"expect" in request.headers
    return error
