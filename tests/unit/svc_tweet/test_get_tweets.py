"""GetTweets: what is known of many ids."""

from aviary.tweet.v1 import tweet_pb2 as pb

from runtime.context import acting
from runtime.ids import uuid7_of
from tests.unit.svc_tweet.world import SERVICE, World, refusal


async def test_known_tweets_come_once_each_and_unknown_ids_are_absent(world: World) -> None:
    alice = world.account()
    one, two = await world.post(alice, "one"), await world.post(alice, "two")
    found = await world.get(one.tweet_id, two.tweet_id, one.tweet_id, str(uuid7_of(1)))
    assert {pb.TweetBody.FromString(tweet.body).content for tweet in found.values()} == {"one", "two"}
    with acting(SERVICE):
        request = pb.GetTweetsRequest(tweet_ids=[tweet.tweet_id for tweet in found.values()] * 3)
        assert len((await world.stub.GetTweets(request)).tweets) == 2


async def test_no_ids_are_no_tweets(world: World) -> None:
    assert await world.get() == {}


async def test_users_and_malformed_ids_are_refused(world: World) -> None:
    """Views and services ask; what a user may see is decided there."""
    with acting(SERVICE):
        assert (
            await refusal(world.stub.GetTweets(pb.GetTweetsRequest(tweet_ids=[b"short"])))
        ).reason == "INVALID_REQUEST"
        too_many = pb.GetTweetsRequest(tweet_ids=[bytes(16)] * 401)
        assert (await refusal(world.stub.GetTweets(too_many))).reason == "INVALID_REQUEST"
