"""The JSON messages of the stream and the cursors in them; who gets which is the hub's matter."""

from enum import Enum

import orjson

from cursors import Cursors
from runtime.errors import FieldProblem, InvalidArgument, InvalidCursor
from views.engagement import Engaged

ROUTE = "/api/v1/stream"


class Type(Enum):
    """What a message is about."""

    HELLO = b"hello"
    PING = b"ping"
    TWEET = b"tweet"
    TWEET_DELETED = b"tweet_deleted"
    COUNTS = b"counts"
    GAP = b"gap"
    REVOKED = b"revoked"
    ERROR = b"error"


NOTHING = b"{}"
_BEHIND = "."
"""Between a cursor and what tells the message that carries it from all others; no cursor has it in it."""


def unique(cursor: str, mark: str) -> str:
    """The id of one message: continues as the cursor does, whatever the mark is."""
    return f"{cursor}{_BEHIND}{mark}"


def message(event_id: str, kind: Type, data: bytes) -> bytes:
    """One message; `data` is finished JSON, made once however many sockets get it."""
    return b'{"id":"%s","type":"%s","data":%s}' % (event_id.encode(), kind.value, data)


def hello(event_id: str, heartbeat_s: int) -> bytes:
    """Data of the first message."""
    return orjson.dumps({"cursor": event_id, "heartbeat_seconds": heartbeat_s})


def tweet_deleted(tweet_id: str) -> bytes:
    """Data that names a deleted tweet."""
    return orjson.dumps({"tweet_id": tweet_id})


def counts(tweet_id: str, engaged: Engaged) -> bytes:
    """Data that tells the counts of a tweet."""
    return orjson.dumps(
        {
            "tweet_id": tweet_id,
            "likes_count": engaged.likes,
            "retweets_count": engaged.retweets,
            "replies_count": engaged.replies,
            "quote_tweets_count": engaged.quotes,
        }
    )


def error(refused: InvalidArgument) -> bytes:
    """Data that says what of a client's message was not understood, as a problem document does."""
    fields = [{"field": problem.field, "message": problem.message} for problem in refused.fields]
    return orjson.dumps({"reason": refused.reason, "errors": fields})


def revoked(reason: str) -> bytes:
    """Data that says why the stream ends."""
    return orjson.dumps({"reason": reason})


class StreamCursors:
    """Cursors that hold a time (milliseconds): everything older than it had reached the reader's socket, but for the last minute."""

    def __init__(self, cursors: Cursors) -> None:
        self._cursors = cursors

    def seal(self, viewer: bytes, at_ms: int) -> str:
        """The cursor of one reader for a time."""
        return self._cursors.seal(ROUTE, viewer, b"", at_ms.to_bytes(8))

    def open(self, text: str, viewer: bytes) -> int:
        """The time in a cursor, or in the id of a message. Raises InvalidCursor."""
        key = self._cursors.open(text.partition(_BEHIND)[0], ROUTE, viewer, b"")
        if len(key) != 8:
            raise InvalidCursor(
                "the cursor is not of this stream", fields=[FieldProblem("cursor", "is not of this stream")]
            )
        return int.from_bytes(key)
