"""Like: in the log first, then in the rows and lists; idempotent, and refused for what is not there."""

import uuid

import grpc
import pytest
from aviary.engage.v1.engage_pb2 import LikeRequest
from aviary.engage.v1.events_pb2 import LikeSet

from readers.recent import KEPT_S, LIKE, LIKING, OwnLike
from svc_engage.domain.marks import LikeState, MarkKind
from svc_engage.domain.relations import Kind, Row, Subject
from tests.storing import store_like
from tests.unit.svc_engage.engage import START, Engage, refusal
from tests.waiting import until


async def test_a_like_is_announced_stored_and_listed_on_both_sides(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    assert await engage.like(alice, tweet) == 1
    [event] = engage.published()
    ids = (event.tweet_id, event.author_id, event.user_id)
    assert (*ids, event.liked) == (tweet.bytes, engage.author(tweet), alice.bytes, True)
    mark = await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)
    assert (mark.present, mark.at, mark.delta, mark.author_id) == (True, START + 1, 1, engage.author(tweet))
    subject = Subject(tweet.bytes, Kind.LIKES)
    assert await engage.store.rows({subject: [alice.bytes]}, {}) == {
        subject: {alice.bytes: Row(present=True, at=START + 1, since=START + 1)}
    }
    [listed] = await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10)
    assert listed.tweet_id == tweet.bytes
    [liker] = await engage.store.list_likers(tweet.bytes, 0, None, 10)
    assert liker.user_id == alice.bytes


async def test_liking_again_changes_nothing_but_is_announced_since_the_opposite_may_stand_in_the_log(
    engage: Engage,
) -> None:
    """P14."""
    alice, tweet = engage.user(), engage.tweet()
    assert [await engage.like(alice, tweet) for _ in range(3)] == [1, 1, 1]
    assert [event.liked for event in engage.published()] == [True] * 3
    assert len({event.event_id for event in engage.published()}) == 3
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).delta == 0
    assert len(await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10)) == 1
    assert len(await engage.store.list_likers(tweet.bytes, 0, None, 10)) == 1


async def test_a_like_that_neither_rows_nor_cache_tell_of_is_503_and_its_repetition_succeeds(engage: Engage) -> None:
    """It stands in the log, so it counts; whoever repeats it sets the same state again."""
    alice, tweet = engage.user(), engage.tweet()
    engage.store.down = engage.cache.away = True
    with engage.acting(alice):
        error = await refusal(engage.stub.Like(LikeRequest(tweet_id=str(tweet))))
    assert error.status is grpc.StatusCode.UNAVAILABLE
    assert [event.liked for event in engage.published()] == [True]
    engage.store.down = False
    assert await engage.like(alice, tweet) == 1


async def test_without_the_log_nothing_is_stored(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.bus.down = True
    with engage.acting(alice):
        error = await refusal(engage.stub.Like(LikeRequest(tweet_id=str(tweet))))
    assert error.status is grpc.StatusCode.UNAVAILABLE
    assert not (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).at
    # It may have come there all the same.
    assert engage.recent.seen == [(alice.bytes, LIKING, tweet.bytes)]


async def test_without_the_cache_likes_go_on(engage: Engage) -> None:
    engage.cache.away = True
    assert await engage.like(engage.user(), engage.tweet()) == 1


@pytest.mark.parametrize("heard", [False, True], ids=["not remembered", "remembered"])
async def test_a_deleted_tweet_cannot_be_liked(engage: Engage, heard: bool) -> None:
    """P52: what was remembered of it does not count any more."""
    alice, tweet = engage.user(), engage.tweet()
    if heard:
        await engage.believe()
        await engage.like(engage.user(), tweet)
    await engage.delete(tweet)
    announced = len(engage.published())
    with engage.acting(alice):
        error = await refusal(engage.stub.Like(LikeRequest(tweet_id=str(tweet))))
    assert (error.status, error.reason) == (grpc.StatusCode.NOT_FOUND, "TWEET_NOT_FOUND")
    assert len(engage.published()) == announced


async def test_an_unknown_tweet_cannot_be_liked(engage: Engage) -> None:
    with engage.acting(engage.user()):
        for tweet_id in (engage.user(), uuid.uuid4(), uuid.UUID(int=0)):
            error = await refusal(engage.stub.Like(LikeRequest(tweet_id=str(tweet_id))))
            assert error.reason == "TWEET_NOT_FOUND"
        error = await refusal(engage.stub.Like(LikeRequest(tweet_id="one")))
        assert error.status is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_count_in_the_answer_holds_the_own_like_before_it_is_counted_and_not_twice_after(
    engage: Engage,
) -> None:
    """P53."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.counted(tweet, 10, as_of=0)
    assert await engage.like(alice, tweet) == 11
    assert await engage.like(alice, tweet) == 11
    await engage.counted(tweet, 11, as_of=2)
    await engage.settle(tweet, alice, True, at=2)
    assert await engage.like(alice, tweet) == 11


async def test_a_like_is_recorded_for_the_users_next_reads_with_its_place(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, tweet)
    await engage.like(alice, tweet)
    assert engage.recent.seen == [
        (alice.bytes, LIKING, tweet.bytes),
        (alice.bytes, LIKE, OwnLike(tweet.bytes, True, 1, START + 1, 0).packed()),
        (alice.bytes, LIKING, tweet.bytes),
        (alice.bytes, LIKE, OwnLike(tweet.bytes, True, 0, START + 2, START + 1).packed()),
    ]


async def test_a_like_states_how_far_the_rows_of_the_tweet_are_split_and_its_row_lies_there(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.counted(tweet, 60_000, as_of=0, level=1)
    assert await engage.like(alice, tweet) == 60_001
    assert [event.level for event in engage.published()] == [1]
    subject = Subject(tweet.bytes, Kind.LIKES)
    assert (await engage.store.rows({subject: [alice.bytes]}, {}))[subject] == {}
    assert alice.bytes in (await engage.store.rows({subject: [alice.bytes]}, {subject: 1}))[subject]
    [liker] = await engage.store.list_likers(tweet.bytes, 1, None, 10)
    assert liker.bucket == engage.published()[0].occurred_at.ToMilliseconds() // 60_000


async def test_anonymous_callers_and_tokens_without_the_scope_are_refused(engage: Engage) -> None:
    request = LikeRequest(tweet_id=str(engage.tweet()))
    with engage.acting(None):
        assert (await refusal(engage.stub.Like(request))).reason == "TOKEN_MISSING"
    with engage.acting(engage.user(), scopes=("read",)):
        assert (await refusal(engage.stub.Like(request))).reason == "INSUFFICIENT_SCOPE"
    assert engage.published() == []


async def test_a_first_like_is_known_for_one_without_reading_what_was_before(engage: Engage) -> None:
    """What users marked lately is remembered whole: what is not in it was never marked."""
    alice, tweets = engage.user(), [engage.tweet() for _ in range(2)]
    await engage.counted(tweets[0], 5, as_of=0)
    await engage.like(alice, tweets[0])
    await until(lambda: engage.remembers(alice))
    engage.store.reads.clear()
    assert await engage.like(alice, tweets[1]) == 1
    assert engage.store.reads == []


async def test_what_this_process_wrote_last_of_a_like_is_not_read_before_the_next_state_of_it(engage: Engage) -> None:
    """A repetition keeps the place at which the like began, and its end takes that place out of the lists."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, engage.tweet())
    await until(lambda: engage.remembers(alice))
    engage.store.reads.clear()
    began = START + len(engage.published()) + 1
    for _ in range(2):
        assert await engage.like(alice, tweet) == 1
        [_, listed] = sorted(
            one.place.since for one in await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10)
        )
        assert listed == began
        # What is remembered of own writes for a minute is not needed for it.
        engage.clock.us += 2 * KEPT_S * 1_000_000
    assert await engage.unlike(alice, tweet) == 0
    assert len(await engage.store.list_marked(alice.bytes, MarkKind.LIKE, None, 10)) == 1
    assert await engage.like(alice, tweet) == 1
    assert engage.store.reads == []
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).since == began + 3


async def test_what_another_process_wrote_of_a_like_is_read_before_the_next_state_of_it(engage: Engage) -> None:
    """It told the cache, so what this process remembers is seen to be older."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, tweet)
    await until(lambda: engage.remembers(alice))
    before = await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)
    [place] = await engage.bus.publish(
        LikeSet(event_id=engage.ids.next().bytes, tweet_id=tweet.bytes, user_id=alice.bytes, liked=False)
    )
    elsewhere = LikeState(tweet.bytes, engage.author(tweet), alice.bytes, False, place, 0, before.marked_ms)
    ended = elsewhere.mark(before, -1)
    await store_like(engage.store, elsewhere, before, -1)
    await engage.cache.set_mark(alice.bytes, MarkKind.LIKE, tweet.bytes, ended)
    engage.store.reads.clear()
    await engage.like(alice, tweet)
    assert engage.store.reads == [tweet.bytes]
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).since == place + 1


async def test_a_like_that_was_begun_and_not_recorded_is_followed_by_one_that_reads_what_was_before(
    engage: Engage,
) -> None:
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, engage.tweet())
    await until(lambda: engage.remembers(alice))
    await engage.cache.record(alice.bytes, LIKING, tweet.bytes)
    engage.store.reads.clear()
    await engage.like(alice, tweet)
    assert engage.store.reads == [tweet.bytes]
