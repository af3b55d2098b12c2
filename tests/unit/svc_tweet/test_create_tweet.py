"""CreateTweet: check, claim, one batch, announce, answer."""

import asyncio
import uuid

import grpc
import pytest
from aviary.tweet.v1 import tweet_pb2 as pb
from aviary.tweet.v1.events_pb2 import TweetCreated

from idempotency import KEPT_S, digest
from readers.recent import OWN_TWEET, tweet_value
from runtime.context import ALL_SCOPES, NOBODY, Caller, acting
from runtime.ids import ms_of
from svc_tweet.domain.tweets import Claim
from tests.unit.svc_tweet.world import World, refusal


async def test_a_tweet_is_stored_announced_and_answered(world: World) -> None:
    alice = world.account()
    answer = await world.post(alice, "hello #world example.com")
    assert (answer.user_id, answer.content, answer.tweet_type) == (
        str(alice),
        "hello #world example.com",
        pb.TWEET_TYPE_TWEET,
    )
    assert list(answer.hashtags) == ["world"]
    assert [url.url for url in answer.entities.urls] == ["example.com"]
    assert answer.created_at.ToMilliseconds() == world.clock.now_ms() == ms_of(uuid.UUID(answer.tweet_id).bytes)
    assert answer.updated_at == answer.created_at
    assert answer.likes_count == answer.retweets_count == answer.replies_count == answer.quote_tweets_count == 0
    stored = (await world.get(answer.tweet_id))[answer.tweet_id]
    body = pb.TweetBody.FromString(stored.body)
    assert (body.content, body.author_id, body.entities) == (answer.content, alice.bytes, answer.entities)
    (event,) = world.events(TweetCreated)
    assert (event.tweet_id, event.author_id) == (body.tweet_id, alice.bytes)
    assert event.occurred_at == answer.created_at
    assert await world.outbox.backlog() == (0, 0)


async def test_the_author_can_find_the_tweet_before_its_event_arrives_p13(world: World) -> None:
    """P13."""
    alice = world.account()
    answer = await world.post(alice, "mine")
    assert world.recent.seen == [(alice.bytes, OWN_TWEET, tweet_value(uuid.UUID(answer.tweet_id).bytes, 1))]
    assert await world.listed(alice) == ([answer.tweet_id], False)


async def test_the_tweet_is_answered_while_the_bus_is_down_and_announced_later(world: World) -> None:
    world.bus.down = True
    answer = await world.post(world.account(), "patience")
    assert not world.events(TweetCreated)
    world.bus.down = False
    await world.outbox.relay_all()
    assert [event.tweet_id for event in world.events(TweetCreated)] == [uuid.UUID(answer.tweet_id).bytes]


async def test_mentions_are_the_accounts_that_have_the_names(world: World) -> None:
    bob = world.account("Bob")
    answer = await world.post(world.account(), "@bob @nobody @BOB hi")
    assert list(answer.mentions) == [str(bob)]
    assert [(m.username, list(m.indices)) for m in answer.entities.mentions] == [("bob", [0, 4]), ("BOB", [13, 17])]
    assert world.names.asked == ["bob", "nobody"]


async def test_a_text_without_mentions_asks_nobody(world: World) -> None:
    world.names.down = True
    await world.post(world.account(), "me@example.com #x")


async def test_a_mention_waits_for_svc_user(world: World) -> None:
    world.names.down = True
    error = await refusal(world.post(world.account(), "@bob"))
    assert (error.status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")


@pytest.mark.parametrize(("content", "reason"), [("a" * 281, "TWEET_TOO_LONG"), ("\u200b ", "TWEET_EMPTY")])
async def test_a_text_against_the_rules_is_refused_and_claims_nothing_p38(
    world: World, content: str, reason: str
) -> None:
    """P38. The key stays free for the corrected text."""
    alice = world.account()
    error = await refusal(world.post(alice, content, key="k"))
    assert (error.status, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
    assert [problem.field for problem in error.fields] == ["content"]
    assert (await world.post(alice, "better", key="k")).content == "better"


async def test_more_bytes_than_any_tweet_needs_are_malformed(world: World) -> None:
    error = await refusal(world.post(world.account(), "a" * 4097))
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "content", ["a\tb", "\u202eevil\u202c x", "\ufffd", "a\r\nb\rc", "𝒜", "\uffff x", "e\u0301" * 140]
)
async def test_strange_but_valid_text_comes_back_as_it_is_stored(world: World, content: str) -> None:
    answer = await world.post(world.account(), content)
    stored = (await world.get(answer.tweet_id))[answer.tweet_id]
    assert pb.TweetBody.FromString(stored.body).content == answer.content
    assert answer.content == content.replace("e\u0301", "é")


async def test_the_same_key_and_body_give_the_same_answer(world: World) -> None:
    """The owner of a mentioned name changed in between; the tweet did not."""
    alice, _ = world.account(), world.account("bob")
    first = await world.post(alice, "hi @bob", key="k")
    world.account("bob")
    assert await world.post(alice, "hi @bob", key="k") == first
    assert len(world.events(TweetCreated)) == 1
    assert await world.listed(alice) == ([first.tweet_id], False)


async def test_twenty_parallel_calls_with_one_key_make_one_tweet_p37(world: World) -> None:
    """P37."""
    alice = world.account()
    answers = await asyncio.gather(*(world.post(alice, "once", key="k") for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert await world.listed(alice) == ([answers[0].tweet_id], False)
    assert len(world.events(TweetCreated)) == 1


async def test_a_key_whose_first_call_died_before_it_stored_anything_is_gone_on_with_p37(world: World) -> None:
    """P37. The claim stands, its tweet does not: the retry makes it, under the id that was claimed."""
    alice = world.account()
    claim = Claim(digest(pb.CreateTweetRequest(content="once")), world.ids.next(), b"")
    assert await world.store.claim(alice, "k", claim, KEPT_S) == claim
    answer = await world.post(alice, "once", key="k")
    assert answer.tweet_id == str(claim.tweet_id)
    assert await world.listed(alice) == ([answer.tweet_id], False)
    assert len(world.events(TweetCreated)) == 1


async def test_the_same_key_with_another_body_is_refused_p37(world: World) -> None:
    """P37."""
    alice = world.account()
    await world.post(alice, "one", key="k")
    error = await refusal(world.post(alice, "two", key="k"))
    assert (error.status, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")


async def test_a_key_belongs_to_its_user_and_to_a_day(world: World) -> None:
    alice, bob = world.account(), world.account()
    first = await world.post(alice, "one", key="k")
    assert (await world.post(bob, "two", key="k")).tweet_id != first.tweet_id
    world.clock.us += KEPT_S * 1_000_000
    assert (await world.post(alice, "three", key="k")).tweet_id != first.tweet_id


async def test_what_a_service_imports_on_behalf_of_a_user_is_claimed_for_ever(world: World) -> None:
    alice = world.account()
    request = pb.CreateTweetRequest(content="imported", idempotency_key="source-1")
    with acting(Caller(alice.bytes, b"", ALL_SCOPES, "ops")):
        first = await world.stub.CreateTweet(request)
        world.clock.us += 400 * KEPT_S * 1_000_000
        assert await world.stub.CreateTweet(request) == first


async def test_without_a_key_each_call_is_a_tweet_of_its_own(world: World) -> None:
    alice = world.account()
    ids = {(await world.post(alice, "again")).tweet_id for _ in range(3)}
    assert set((await world.listed(alice))[0]) == ids
    assert len(ids) == 3


async def test_a_deleted_tweet_stays_deleted_when_its_creation_is_retried(world: World) -> None:
    """The retry is answered as the first call was, and changes nothing."""
    alice = world.account()
    first = await world.post(alice, "regret", key="k")
    await world.delete(alice, first.tweet_id)
    assert await world.post(alice, "regret", key="k") == first
    assert (await world.get(first.tweet_id))[first.tweet_id].deleted
    assert await world.listed(alice) == ([], False)
    assert len(world.events(TweetCreated)) == 1


async def test_anonymous_and_unscoped_callers_are_refused(world: World) -> None:
    request = pb.CreateTweetRequest(content="x")
    with acting(NOBODY):
        assert (await refusal(world.stub.CreateTweet(request))).reason == "TOKEN_MISSING"
    with world.acting(world.account(), scopes=("read",)):
        assert (await refusal(world.stub.CreateTweet(request))).reason == "INSUFFICIENT_SCOPE"


async def test_nobody_posts_under_another_id(world: World) -> None:
    with world.acting(world.account()):
        call = world.stub.CreateTweet(pb.CreateTweetRequest(content="x", user_id=str(world.account())))
        assert (await refusal(call)).reason == "NOT_YOUR_USER_ID"
