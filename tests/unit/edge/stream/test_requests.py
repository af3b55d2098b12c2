"""Messages of clients: what is understood, and what names the field that is not."""

import json
from typing import Any

import pytest

from edge.stream.requests import WATCHED_AT_MOST, Auth, Pong, Watch, WatchRefused, read_message
from runtime.errors import InvalidArgument
from tests.unit.views.world import text

ID = text(b"0123456789abcdef")


def test_messages_of_clients() -> None:
    assert read_message(b'{"type":"auth","access_token":"t"}') == Auth("t")
    assert read_message(b'{"type":"pong"}') == Pong()
    for other in (b"", b"[]", b"1", b'{"type":"auth"}', b'{"type":"auth","access_token":"t","more":1}', b"\xff"):
        with pytest.raises(InvalidArgument) as refused:
            read_message(other)
        assert not isinstance(refused.value, WatchRefused)


def test_a_watch_names_tweets_once_each_or_none() -> None:
    assert watch(tweet_ids=[ID, ID.upper()]) == Watch(frozenset([b"0123456789abcdef"]))
    assert watch(tweet_ids=[]) == Watch(frozenset())
    assert watch(tweet_ids=[ID] * WATCHED_AT_MOST)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "tweet_ids"),
        ({"tweet_ids": None}, "tweet_ids"),
        ({"tweet_ids": ID}, "tweet_ids"),
        ({"tweet_ids": {ID: 1}}, "tweet_ids"),
        ({"tweet_ids": [ID] * (WATCHED_AT_MOST + 1)}, "tweet_ids"),
        ({"tweet_ids": [ID, 5]}, "tweet_ids[1]"),
        ({"tweet_ids": [None]}, "tweet_ids[0]"),
        ({"tweet_ids": [[ID]]}, "tweet_ids[0]"),
        ({"tweet_ids": ["x" * 9000]}, "tweet_ids[0]"),
        ({"tweet_ids": [ID.replace("-", "")]}, "tweet_ids[0]"),
        ({"tweet_ids": [ID], "users": []}, "users"),
    ],
)
def test_a_watch_that_is_not_understood_names_the_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(WatchRefused) as refused:
        watch(**given)
    assert [problem.field for problem in refused.value.fields] == [field]
    assert len(str(refused.value)) < 300


def watch(**fields: Any) -> Any:
    return read_message(json.dumps({"type": "watch", **fields}).encode())
