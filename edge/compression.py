"""Which coding a client takes and what it makes of a body; which answers are worth it is decided here too."""

import zlib
from collections.abc import Callable
from functools import lru_cache

import brotli
import zstandard

from edge.web import Header, Response

WORTH_BYTES = 1024

Compress = Callable[[bytes], bytes]

# Low levels: at the edge a body is compressed once and read once, so a few per cent of size are not worth twice the time.
_ZSTD = zstandard.ZstdCompressor(level=3)
_COMPRESSIBLE = (b"application/json", b"application/problem+json", b"text/")


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(body) + packer.flush()


# In our order of preference among those that a client likes equally.
_CODINGS: dict[str, Compress] = {
    "zstd": _ZSTD.compress,
    "br": lambda body: brotli.compress(body, quality=2),
    "gzip": _gzip,
}


def compressed(response: Response, accept: bytes) -> Response:
    """The answer in the coding that the client likes best, or as it is when that gains nothing."""
    if len(response.body) < WORTH_BYTES or not response.content_type.startswith(_COMPRESSIBLE):
        return response
    if any(name == b"content-encoding" for name, _ in response.headers):
        return response
    # Caches must not hand the coded form to a client that cannot read it.
    headers: list[Header] = [*response.headers, (b"vary", b"Accept-Encoding")]
    coding = chosen(accept)
    if coding is None:
        return Response(response.status, response.body, response.content_type, headers)
    headers.append((b"content-encoding", coding.encode()))
    return Response(response.status, _CODINGS[coding](response.body), response.content_type, headers)


@lru_cache(maxsize=512)
def chosen(accept: bytes, offered: tuple[str, ...] = tuple(_CODINGS)) -> str | None:
    """The offered coding that an Accept-Encoding header likes best, None for none."""
    weights: dict[str, float] = {}
    for part in accept.decode("latin-1").lower().split(","):
        name, _, parameter = part.partition(";")
        weights[name.strip()] = _weight(parameter)
    best, best_weight = None, 0.0
    for name in offered:
        weight = weights.get(name, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = name, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
