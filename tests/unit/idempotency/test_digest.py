"""What two requests with one idempotency key must have in common: all that is asked for, and not who asks or how."""

import pytest
from aviary.tweet.v1.tweet_pb2 import CreateTweetRequest
from aviary.user.v1.user_pb2 import LoginRequest
from google.protobuf.message import Message

from idempotency import IdempotencyKeyReused, digest, ensure_same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CreateTweetRequest(content="a", idempotency_key="1"), CreateTweetRequest(content="a", idempotency_key="2")),
        (LoginRequest(login="a", client="a browser"), LoginRequest(login="a", client="another one")),
        (
            CreateTweetRequest(content="a"),
            CreateTweetRequest(content="a", user_id="0190a6a3-7d1c-7c3e-9f1e-000000000001"),
        ),
    ],
    ids=["key", "header", "caller"],
)
def test_headers_and_whether_the_caller_is_named_may_differ(one: Message, other: Message) -> None:
    ensure_same(digest(one), digest(other))


def test_what_is_asked_for_may_not_differ() -> None:
    """P37"""
    with pytest.raises(IdempotencyKeyReused):
        ensure_same(digest(CreateTweetRequest(content="a")), digest(CreateTweetRequest(content="b")))
