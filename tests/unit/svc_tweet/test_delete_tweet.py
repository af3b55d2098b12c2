"""DeleteTweet: final, and known everywhere before it is answered."""

import uuid

import grpc
import pytest
from aviary.tweet.v1 import tweet_pb2 as pb
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal

from readers.recent import DELETED_TWEET, tweet_value
from runtime.context import NOBODY, acting
from runtime.errors import Unavailable
from runtime.ids import uuid7_of
from svc_tweet.domain.tweets import PURGE_AFTER_S
from tests.unit.svc_tweet.world import World, only, refusal


async def test_a_deleted_tweet_is_gone_announced_and_signalled(world: World) -> None:
    alice = world.account()
    tweet = await world.post(alice, "regret")
    tweet_id = uuid.UUID(tweet.tweet_id).bytes
    answer = await world.delete(alice, tweet.tweet_id)
    assert (answer.tweet_id, answer.status) == (tweet.tweet_id, "deleted")
    stored = (await world.get(tweet.tweet_id))[tweet.tweet_id]
    assert (stored.deleted, stored.body, stored.author_id) == (True, b"", alice.bytes)
    assert await world.listed(alice) == ([], False)
    assert [(e.tweet_id, e.author_id) for e in world.events(TweetDeleted)] == [(tweet_id, alice.bytes)]
    assert [(c.tweet_id, c.author_id, c.deleted) for c in world.changes()] == [(tweet_id, alice.bytes, True)]
    assert world.recent.seen[-1] == (alice.bytes, DELETED_TWEET, tweet_value(tweet_id, 2))


async def test_deleting_again_gives_the_same_answer_and_tells_caches_again(world: World) -> None:
    """The first call may have died between its batch and its signal."""
    alice = world.account()
    tweet = await world.post(alice, "regret")
    first = await world.delete(alice, tweet.tweet_id)
    assert await world.delete(alice, tweet.tweet_id) == first
    assert len(world.events(TweetDeleted)) == 1
    assert len(world.changes()) == 2


async def test_a_tweet_of_somebody_else_stays(world: World) -> None:
    tweet = await world.post(world.account(), "mine")
    error = await refusal(world.delete(world.account(), tweet.tweet_id))
    assert (error.status, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_YOUR_TWEET")
    assert not (await world.get(tweet.tweet_id))[tweet.tweet_id].deleted
    assert not world.changes()


async def test_what_does_not_exist_for_the_caller_is_not_found(world: World) -> None:
    alice, bob = world.account(), world.account()
    tweet = await world.post(alice, "regret")
    await world.delete(alice, tweet.tweet_id)
    for tweet_id in (tweet.tweet_id, str(uuid7_of(1)), str(uuid.uuid4())):
        error = await refusal(world.delete(bob, tweet_id))
        assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "TWEET_NOT_FOUND")


async def test_the_deletion_is_answered_while_the_bus_is_down_and_announced_later(world: World) -> None:
    alice = world.account()
    tweet = await world.post(alice, "regret")
    world.bus.down = True
    assert (await world.delete(alice, tweet.tweet_id)).status == "deleted"
    world.bus.down = False
    await world.outbox.relay_all()
    assert len(world.events(TweetDeleted)) == 1


@pytest.mark.parametrize("silent", [False, True], ids=["unknown outcome", "cut off"])
async def test_a_deletion_that_fails_and_may_stand_shows_caches_a_gap(world: World, silent: bool) -> None:
    """P19. They would believe for ever that the tweet is there: heartbeats go on, and nobody tells of this deletion."""
    alice = world.account()
    tweet = await world.post(alice, "regret")
    world.store.lost, world.store.silent = Unavailable("not acknowledged in time", retry_after_s=1), silent
    with world.acting(alice):
        call = world.stub.DeleteTweet(pb.DeleteTweetRequest(tweet_id=tweet.tweet_id), timeout=0.05)
        assert (await refusal(call)).status in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert (await world.get(tweet.tweet_id))[tweet.tweet_id].deleted
    assert not world.changes()
    await world.signals.goodbye()
    assert only(world.bus.signals[-1], TweetStatusSignal).sequence == 1


async def test_the_text_is_purged_a_day_after_the_deletion(world: World) -> None:
    alice = world.account()
    tweet_id = uuid.UUID((await world.post(alice, "regret")).tweet_id)
    await world.delete(alice, str(tweet_id))
    kept = await world.store.get(tweet_id)
    assert kept is not None
    assert b"regret" in kept.body
    world.clock.us += PURGE_AFTER_S * 1_000_000
    purged = await world.store.get(tweet_id)
    assert purged is not None
    assert (purged.body, purged.author_id, purged.deleted) == (b"", alice, True)


async def test_anonymous_callers_and_malformed_ids_are_refused(world: World) -> None:
    with acting(NOBODY):
        request = pb.DeleteTweetRequest(tweet_id=str(uuid7_of(1)))
        assert (await refusal(world.stub.DeleteTweet(request))).reason == "TOKEN_MISSING"
    error = await refusal(world.delete(world.account(), "not-an-id"))
    assert (error.reason, [problem.field for problem in error.fields]) == ("INVALID_REQUEST", ["tweet_id"])


async def test_a_deletion_announced_before_the_creation_leaves_no_zombie_p19(world: World) -> None:
    """P19. Events carry no state: whoever handles the late creation asks here, and is told that the tweet is deleted."""
    alice = world.account()
    world.bus.down = True
    tweet = await world.post(alice, "regret", key="k")
    world.bus.down = False
    await world.delete(alice, tweet.tweet_id)
    await world.outbox.relay_all()
    assert [type(event) for event in world.bus.published] == [TweetDeleted, TweetCreated]
    assert (await world.get(tweet.tweet_id))[tweet.tweet_id].deleted
    assert await world.listed(alice) == ([], False)
