"""ListTweets: what can be shown, and errors for the rest."""

import pytest
from aviary.view.v1 import view_pb2
from grpc import aio

from runtime.errors import from_rpc
from tests.unit.views.world import World, ids, text


async def test_bad_ids_become_errors_beside_the_tweets(world: World) -> None:
    """P36: 97 tweets and 3 errors."""
    alice = world.user("alice")
    tweets = [world.tweet(alice) for _ in range(98)]
    world.delete(tweets[5])
    unknown, malformed, gone = text(b"x" * 16), "no-id", text(tweets[5])
    asked = [text(t) for t in reversed(tweets)]
    answer = await world.views.ListTweets(
        view_pb2.ListTweetsRequest(ids=[*asked[:50], unknown, malformed, *asked[50:]])
    )
    assert ids(answer) == [t for t in reversed(tweets) if t != tweets[5]]
    assert {(e.tweet_id, e.reason) for e in answer.errors} == {
        (bad, "TWEET_NOT_FOUND") for bad in (unknown, malformed, gone)
    }
    assert world.calls == {"GetTweets": 1, "GetUsers": 1, "GetTweetCounts": 1}


async def test_an_id_asked_twice_is_answered_once(world: World) -> None:
    tweet = world.tweet(world.user("alice"))
    answer = await world.views.ListTweets(
        view_pb2.ListTweetsRequest(ids=[text(tweet), text(tweet).upper(), text(tweet)])
    )
    assert ids(answer) == [tweet] and not answer.errors


async def test_more_than_a_hundred_are_refused(world: World) -> None:
    with pytest.raises(aio.AioRpcError) as failure:
        await world.views.ListTweets(view_pb2.ListTweetsRequest(ids=[text(b"x" * 16)] * 101))
    assert from_rpc(failure.value).fields[0].field == "ids"


async def test_only_bad_ids_are_only_errors(world: World) -> None:
    answer = await world.views.ListTweets(view_pb2.ListTweetsRequest(ids=["", "{", "0" * 32]))
    assert not answer.tweets and [e.tweet_id for e in answer.errors] == ["", "{", "0" * 32]
