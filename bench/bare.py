"""The ceiling of everything that goes over HTTP: uvicorn (uvloop, httptools) and an ASGI function that knows its answer.

GET gives the body it was started with. POST gives a small tweet and sends it to every open socket, before it answers. No storage.
"""

import json
import socket
import sys
import uuid
from typing import Any

import uvicorn

from stack.ports import HOST

_HELLO = '{"id":"","type":"hello","data":{}}'


class BareApp:
    """Answers at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._sockets: list[Any] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a request or a socket."""
        if scope["type"] == "websocket":
            await self._stream(receive, send)
        elif scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
            tweet = json.dumps({"tweet_id": str(uuid.uuid4())})
            for push in self._sockets:
                await push({"type": "websocket.send", "text": f'{{"id":"","type":"tweet","data":{tweet}}}'})
            await _answer(send, 201, tweet.encode())
        else:
            await _answer(send, 200, self._body)

    async def _stream(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": _HELLO})
        self._sockets.append(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self._sockets.remove(send)


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve the body on the first line of standard input (a JSON string); the port is printed."""
    body: str = json.loads(sys.stdin.readline())
    with socket.create_server((HOST, 0), backlog=2048) as listening:
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(
            BareApp(body.encode()), loop="uvloop", http="httptools", lifespan="off", access_log=False, log_config=None
        )
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
