"""The stream in the OpenAPI document: no rpc of ours streams, so this path is described by hand."""

from typing import Any

from edge.stream.messages import Type
from edge.stream.requests import MAX_MESSAGE_BYTES, WATCHED_AT_MOST

_MESSAGES = ", ".join(f"`{kind.value.decode()}`" for kind in Type)

PATH_ITEM: dict[str, Any] = {
    "get": {
        "operationId": "Stream",
        "tags": ["stream"],
        "summary": "What happens, as it happens, over a WebSocket",
        "description": (
            "A WebSocket handshake (subprotocol `aviary.v1`). The token comes in `Authorization`, in `access_token`, or as a first"
            ' message `{"type": "auth", "access_token": …}`. Messages are `{"id": cursor, "type": …, "data": …}` with the types '
            f"{_MESSAGES}. Delivery is at least once: drop ids that you have. After `gap` read again over REST. A slow reader"
            f" is closed with 1013, a client that sends a message of more than {MAX_MESSAGE_BYTES // 1024} KiB with 1009."
            ' `{"type": "watch", "tweet_ids": […]}` asks for `counts` of these tweets'
            f" (at most {WATCHED_AT_MOST}, instead of all earlier ones): at once, and whenever they change. What nobody may see is"
            " `tweet_deleted`. A `watch` that is not understood is answered with `error`, which names the field."
        ),
        "parameters": [
            {
                "name": "access_token",
                "in": "query",
                "required": False,
                "schema": {"type": "string"},
                "description": "The token, where headers cannot be set.",
            },
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "schema": {"type": "string"},
                "description": "The id of the last message received: continues after it, or says `gap`.",
            },
        ],
        "responses": {
            "101": {"description": "The stream begins."},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
}
