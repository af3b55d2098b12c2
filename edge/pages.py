"""What the public port serves beside the API: health, metrics, the API's document and its reader; no route of an rpc."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from swagger_ui_bundle import swagger_ui_path

from edge.binding import refusal
from edge.compression import chosen
from edge.policies import open_to_all
from edge.stream.handshake import missing_of_handshake
from edge.stream.messages import ROUTE
from edge.web import Header, Request, Response
from runtime.context import NOBODY
from runtime.http import OpsApp
from runtime.policy import ensure_may_call

_NO_STORE: Header = (b"cache-control", b"no-store")
_FOR_A_DAY: Header = (b"cache-control", b"public, max-age=86400")
# Scripts and data come from this origin only; the viewer sets styles from its script, so those may be inline.
_CSP: Header = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
_DOCS = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aviary API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/initializer.js"></script>
</body>
</html>
"""
_INITIALIZER = b"""window.addEventListener("load", () => {
  SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
});
"""
_VENDORED = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}


class Page:
    """A page at a fixed path. It looks at no token: one that is not open to all is refused to everybody."""

    def __init__(self, name: str, answer: Callable[[Request], Awaitable[Response]], *, counted: bool = True) -> None:
        self.name = name
        self.first: bool | None = False if counted else None
        self.policy = open_to_all(name)
        self._answer = answer

    async def __call__(self, request: Request, values: Sequence[str]) -> Response:
        """The page."""
        ensure_may_call(self.policy, NOBODY)
        return await self._answer(request)


def operations(ops: OpsApp, metrics: bool) -> dict[str, Page]:
    """Pages by path: health and readiness, and the metrics where they are wanted in public."""

    def page(path: str) -> Page:
        async def answer(_: Request) -> Response:
            status, body, kind = ops.respond(path, texts=False)
            return Response(status, body, kind.encode(), [_NO_STORE])

        return Page(path.removeprefix("/"), answer, counted=False)

    return {path: page(path) for path in ("/healthz", "/readyz", *(["/metrics"] if metrics else []))}


def stream() -> dict[str, Page]:
    """What an ordinary request finds where the stream is: what a WebSocket handshake has and this one lacks."""

    async def answer(request: Request) -> Response:
        raise refusal(missing_of_handshake(request.raw_headers))

    return {ROUTE: Page("stream", answer)}


def documentation(document: Mapping[str, Any]) -> dict[str, Page]:
    """Pages by path: the document, its reader and what that loads. Nothing comes from another host."""
    described = orjson.dumps(document)

    async def openapi(_: Request) -> Response:
        return Response(200, described, headers=[(b"cache-control", b"no-cache")])

    async def docs(_: Request) -> Response:
        return Response(200, _DOCS, b"text/html; charset=utf-8", [_CSP, (b"cache-control", b"no-cache")])

    async def initializer(_: Request) -> Response:
        return Response(200, _INITIALIZER, b"text/javascript; charset=utf-8", [_FOR_A_DAY])

    pages = {"/openapi.json": openapi, "/docs": docs, "/docs/initializer.js": initializer}
    vendored = {f"/docs/{name}": _vendored(name, kind) for name, kind in _VENDORED.items()}
    return {path: Page("docs", answer) for path, answer in (pages | vendored).items()}


def _vendored(name: str, kind: bytes) -> Callable[[Request], Awaitable[Response]]:
    """Serves one file of the viewer's package; packed once in a thread, since 1.5 MB would hold up the loop."""
    packed: list[bytes] = []

    def pack() -> bytes:
        return gzip.compress((swagger_ui_path / name).read_bytes(), compresslevel=6, mtime=0)

    async def answer(request: Request) -> Response:
        if not packed:
            packed.append(await asyncio.to_thread(pack))
        headers: list[Header] = [_FOR_A_DAY, (b"vary", b"Accept-Encoding")]
        if chosen(request.headers.get(b"accept-encoding", b""), ("gzip",)):
            return Response(200, packed[0], kind, [*headers, (b"content-encoding", b"gzip")])
        return Response(200, await asyncio.to_thread(gzip.decompress, packed[0]), kind, headers)

    return answer
