"""Rows of likes are written behind the answer, and nobody who liked something can tell: promise 5 while they are on their way."""

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

import pytest
from aviary.engage.v1 import engage_pb2 as pb
from aviary.engage.v1.events_pb2 import LikeSet

from readers.recent import KEPT_S, LIKE, OwnLike
from runtime.errors import ServiceError
from runtime.ids import split_ids
from svc_engage import like_rows, own_lists
from svc_engage.domain.marks import UNMARKED, LikeState, MarkKind
from svc_engage.like_rows import BEHIND_MOST
from svc_engage.metrics import ROWS_LEFT
from tests.storing import store_like
from tests.unit.svc_engage.engage import Engage, refusal
from tests.unit.svc_engage.lists import likes
from tests.waiting import until


async def seen(engage: Engage, who: uuid.UUID, tweet: uuid.UUID) -> tuple[int, bool]:
    """The count and the flag that a page shows the viewer."""
    request = pb.GetTweetCountsRequest(viewer_id=who.bytes, tweet_ids=[tweet.bytes])
    answer = await engage.stub.GetTweetCounts(request)
    return answer.counts[0].likes_count, bool(answer.counts[0].liked)


async def liked_by(engage: Engage, who: uuid.UUID) -> list[bytes]:
    """What a user sees in their own list of likes."""
    with engage.acting(who):
        return [entry.tweet_id for entry in (await likes(engage, who)).tweets]


async def likers(engage: Engage, who: uuid.UUID, tweet: uuid.UUID) -> list[bytes]:
    """Whom a user sees in the list of a tweet's likers."""
    with engage.acting(who):
        answer = await engage.stub.ListLikers(pb.ListLikersRequest(tweet_id=tweet.bytes))
    return list(split_ids(answer.user_ids))


async def waits(call: Awaitable[Any]) -> asyncio.Task[Any]:
    """The call under way; it has not ended when everything else that could go on has."""
    task = asyncio.ensure_future(call)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def elsewhere(engage: Engage, who: uuid.UUID, tweet: uuid.UUID, place: int) -> LikeState:
    """Another process has answered a like, and its rows are on their way."""
    own = OwnLike(tweet.bytes, True, 1, place, 0)
    await engage.cache.record(who.bytes, LIKE, own.packed())
    return LikeState(tweet.bytes, engage.author(tweet), who.bytes, True, place, 0, engage.clock.now_ms())


async def test_a_like_is_answered_while_its_rows_are_on_their_way_and_the_users_reads_show_it(engage: Engage) -> None:
    """P53."""
    alice, tweet = engage.user(), engage.tweet()
    engage.store.writes.clear()
    assert await engage.answered(alice, tweet) == 1
    assert await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes) == UNMARKED
    assert await seen(engage, alice, tweet) == (1, True)


async def test_lists_that_are_to_show_an_own_like_wait_for_its_rows(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.store.writes.clear()
    await engage.answered(alice, tweet)
    own, of_tweet = await waits(liked_by(engage, alice)), await waits(likers(engage, alice, tweet))
    engage.store.writes.set()
    assert (await own, await of_tweet) == ([tweet.bytes], [alice.bytes])


async def test_nobody_elses_lists_wait(engage: Engage) -> None:
    alice, bob, tweet = engage.user(), engage.user(), engage.tweet()
    engage.store.writes.clear()
    await engage.answered(alice, tweet)
    with engage.acting(bob):
        assert not (await likes(engage, alice)).tweets
    assert await likers(engage, bob, tweet) == []


async def test_when_the_cache_forgets_a_like_whose_rows_are_on_their_way_reads_wait_for_them(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.store.writes.clear()
    await engage.answered(alice, tweet)
    engage.cache.clear()
    reading = await waits(seen(engage, alice, tweet))
    engage.store.writes.set()
    assert await reading == (1, True)


async def test_without_the_cache_the_answer_waits_for_the_rows(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.cache.away = True
    engage.store.writes.clear()
    answer = await waits(engage.answered(alice, tweet))
    engage.store.writes.set()
    assert await answer == 1
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).present


async def test_answers_wait_for_their_rows_while_likes_come_faster_than_rows_are_written(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.store.writes.clear()
    for _ in range(BEHIND_MOST):
        await engage.answered(alice, tweet)
    answer = await waits(engage.answered(engage.user(), tweet))
    engage.store.writes.set()
    await answer


async def test_the_next_state_of_a_like_whose_rows_are_on_their_way_follows_it(engage: Engage) -> None:
    """Both are written, and the later one stays: nothing is listed, nothing counted."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, engage.tweet())
    await until(lambda: engage.remembers(alice))
    engage.store.reads.clear()
    engage.store.writes.clear()
    await engage.answered(alice, tweet)
    with engage.acting(alice):
        assert (await engage.stub.Unlike(pb.UnlikeRequest(tweet_id=str(tweet)))).likes_count == 0
    assert engage.store.reads == []
    engage.store.writes.set()
    assert await seen(engage, alice, tweet) == (0, False)
    assert tweet.bytes not in await liked_by(engage, alice)
    mark = await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)
    assert (mark.present, mark.delta) == (False, -1)


async def test_a_like_whose_caller_is_gone_is_written_all_the_same(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.cache.away = True
    engage.store.writes.clear()
    answer = await waits(engage.answered(alice, tweet))
    answer.cancel()
    await asyncio.wait([answer])
    engage.store.writes.set()
    await engage.rows.of(alice.bytes)
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).present


async def test_rows_of_an_answered_like_are_written_until_they_are_stored_and_others_wait_for_theirs_meanwhile(
    engage: Engage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is away for longer than the cache remembers what its users did lately."""
    monkeypatch.setattr(like_rows, "_AGAIN_S", 0.01)
    monkeypatch.setattr(like_rows, "_RECORDED_S", 0.0)
    alice, tweet = engage.user(), engage.tweet()
    assert await engage.like(alice, engage.tweet()) == 1
    await until(lambda: engage.remembers(alice))
    engage.store.writes.clear()
    assert await engage.answered(alice, tweet) == 1
    engage.store.down = True
    engage.store.writes.set()
    recorded = len(engage.recent.seen)
    await until(lambda: len(engage.recent.seen) > recorded + 3)
    left = ROWS_LEFT._value.get()
    error: ServiceError = await refusal(engage.answered(engage.user(), tweet))
    assert (error.reason, ROWS_LEFT._value.get()) == ("DEPENDENCY_UNAVAILABLE", left + 1)
    engage.clock.us += 2 * KEPT_S * 1_000_000
    recorded = len(engage.recent.seen)
    await until(lambda: len(engage.recent.seen) > recorded + 3)
    assert (await engage.cache.recent_likes(alice.bytes))[tweet.bytes]
    engage.store.down = False
    await until(lambda: not engage.rows._writing)
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).present
    engage.store.writes.clear()
    await engage.answered(alice, engage.tweet())


async def test_reads_of_a_like_whose_rows_take_long_are_503_in_time(
    engage: Engage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 9: the deadline of a list is 2 s, and says nothing of why."""
    assert like_rows._WAIT_S + own_lists._PATIENCE_S < 2
    monkeypatch.setattr(like_rows, "_WAIT_S", 0.05)
    alice, tweet = engage.user(), engage.tweet()
    engage.store.writes.clear()
    await engage.answered(alice, tweet)
    for call in (liked_by(engage, alice), likers(engage, alice, tweet)):
        error: ServiceError = await refusal(call)
        assert (error.reason, error.retry_after_s) == ("DEPENDENCY_UNAVAILABLE", 1)


async def test_the_next_state_waits_for_rows_that_another_process_writes(engage: Engage) -> None:
    """The end of a like takes back what it weighed, and a like set anew is on top, only behind what was before."""
    alice, tweet = engage.user(), engage.tweet()
    await engage.like(alice, engage.tweet())
    await until(lambda: engage.remembers(alice))
    [place] = await engage.bus.publish(LikeSet(event_id=engage.ids.next().bytes, tweet_id=tweet.bytes, liked=True))
    like = await elsewhere(engage, alice, tweet, place)
    with engage.acting(alice):
        ending = await waits(engage.stub.Unlike(pb.UnlikeRequest(tweet_id=str(tweet))))
    await store_like(engage.store, like, UNMARKED, 1)
    assert (await ending).likes_count == 0
    await engage.rows.of(alice.bytes)
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).delta == -1


async def test_a_process_that_stops_writes_what_it_has_answered(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    engage.store.writes.clear()
    await engage.answered(alice, tweet)
    closing = await waits(engage.rows.close())
    engage.store.writes.set()
    await closing
    assert (await engage.store.mark(alice.bytes, MarkKind.LIKE, tweet.bytes)).present


async def test_lists_wait_for_rows_that_another_process_writes(engage: Engage) -> None:
    alice, tweet = engage.user(), engage.tweet()
    like = await elsewhere(engage, alice, tweet, 5_000)
    own, of_tweet = await waits(liked_by(engage, alice)), await waits(likers(engage, alice, tweet))
    await store_like(engage.store, like, UNMARKED, 1)
    assert (await own, await of_tweet) == ([tweet.bytes], [alice.bytes])


async def test_a_list_whose_own_like_nobody_writes_is_503_after_a_time(
    engage: Engage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died, and the owner of the partition has not come to it: promise 9 rather than a list without it."""
    monkeypatch.setattr(own_lists, "_PATIENCE_S", 0.05)
    alice, tweet = engage.user(), engage.tweet()
    await elsewhere(engage, alice, tweet, 5_000)
    for call in (liked_by(engage, alice), likers(engage, alice, tweet)):
        error: ServiceError = await refusal(call)
        assert (error.reason, error.retry_after_s) == ("DEPENDENCY_UNAVAILABLE", 1)
