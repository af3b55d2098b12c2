"""Which other origins' pages may call the API from a browser; the web client of the same origin needs none of it."""

from collections.abc import Iterable

from edge.web import Header

_EXPOSED = b"X-Request-Id, Link, ETag, Retry-After, WWW-Authenticate, X-Aviary-Degraded"
_ALLOWED = b"Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-Id, traceparent"
_REMEMBER_S = b"600"


class Cors:
    """Answers browsers for a fixed set of origins, each `scheme://host[:port]`, and for any origin at `open_paths`."""

    def __init__(self, origins: Iterable[str], open_paths: Iterable[str] = ()) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._open = frozenset(path.encode() for path in open_paths)

    def headers(self, origin: bytes | None, raw_path: bytes) -> list[Header]:
        """What every answer to a request with this Origin carries. An origin that is not configured gets no permission."""
        if raw_path in self._open:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
        if not self._origins:
            return []
        vary: Header = (b"vary", b"Origin")
        if origin not in self._origins or origin is None:
            return [vary]
        return [vary, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]

    def preflight(self, methods: Iterable[str], raw_path: bytes) -> list[Header]:
        """What an answer to OPTIONS carries beside that."""
        if not self._origins and raw_path not in self._open:
            return []
        return [
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-allow-headers", _ALLOWED),
            (b"access-control-max-age", _REMEMBER_S),
        ]
