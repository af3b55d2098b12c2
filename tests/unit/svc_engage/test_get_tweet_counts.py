"""GetTweetCounts: counts and flags of a page, as the mesh asks for them; in which orders they come about is in test_reads.py."""

import uuid

import grpc
import pytest
from aviary.engage.v1 import engage_pb2 as pb

from readers.recent import GRAPH_VERSION
from svc_engage.domain.relations import Count, Kind, Subject
from tests.unit.svc_engage.engage import Engage, refusal


async def counts(engage: Engage, viewer: uuid.UUID | None, *tweets: uuid.UUID) -> dict[bytes, pb.TweetCounts]:
    """What one call says, by tweet."""
    request = pb.GetTweetCountsRequest(
        viewer_id=viewer.bytes if viewer else b"", tweet_ids=[tweet.bytes for tweet in tweets]
    )
    answer = await engage.stub.GetTweetCounts(request)
    assert len(answer.counts) == len(set(tweets))
    return {one.tweet_id: one for one in answer.counts}


async def test_every_tweet_is_answered_once_with_its_id(engage: Engage) -> None:
    tweets = [engage.tweet() for _ in range(400)]
    found = await counts(engage, engage.user(), *tweets)
    assert found == {tweet.bytes: pb.TweetCounts(tweet_id=tweet.bytes) for tweet in tweets}
    assert await counts(engage, None, tweets[0], tweets[0]) == {tweets[0].bytes: found[tweets[0].bytes]}
    assert await counts(engage, None) == {}


async def test_what_i_did_is_in_my_answer_and_nobody_elses(engage: Engage) -> None:
    """P53: at once, before anything is counted."""
    me, other, tweet, quiet = engage.user(), engage.user(), engage.tweet(), engage.tweet()
    await engage.like(engage.user(), engage.tweet())
    await engage.counted(tweet, 7, 1)
    await engage.like(me, tweet)
    await engage.bookmark(me, tweet)
    mine = await counts(engage, me, tweet, quiet)
    assert mine[tweet.bytes] == pb.TweetCounts(tweet_id=tweet.bytes, likes_count=8, liked=True, bookmarked=True)
    assert mine[quiet.bytes] == pb.TweetCounts(tweet_id=quiet.bytes)
    for viewer in (other, None):
        assert (await counts(engage, viewer, tweet))[tweet.bytes] == pb.TweetCounts(tweet_id=tweet.bytes, likes_count=7)
    await engage.unlike(me, tweet)
    await engage.remove_bookmark(me, tweet)
    assert (await counts(engage, me, tweet))[tweet.bytes] == pb.TweetCounts(tweet_id=tweet.bytes, likes_count=7)


async def test_without_the_cache_i_still_see_what_i_did(engage: Engage) -> None:
    """P53."""
    me, tweet = engage.user(), engage.tweet()
    engage.cache.away = True
    await engage.like(engage.user(), engage.tweet())
    await engage.counted(tweet, 7, 1)
    await engage.like(me, tweet)
    await engage.bookmark(me, tweet)
    shown = pb.TweetCounts(tweet_id=tweet.bytes, likes_count=8, liked=True, bookmarked=True)
    assert (await counts(engage, me, tweet))[tweet.bytes] == shown
    engage.cache.away = False
    assert (await counts(engage, me, tweet))[tweet.bytes] == shown


async def test_every_count_of_a_tweet_has_its_own_field(engage: Engage) -> None:
    tweet = engage.tweet()
    kinds = (Kind.LIKES, Kind.RETWEETS, Kind.REPLIES, Kind.QUOTES)
    await engage.store.put_counts({Subject(tweet.bytes, kind): Count(n + 1, 5) for n, kind in enumerate(kinds)})
    assert (await counts(engage, None, tweet))[tweet.bytes] == pb.TweetCounts(
        tweet_id=tweet.bytes, likes_count=1, retweets_count=2, replies_count=3, quote_tweets_count=4
    )


async def test_only_services_ask(engage: Engage) -> None:
    with engage.acting(engage.user()):
        error = await refusal(engage.direct.GetTweetCounts(pb.GetTweetCountsRequest()))
    assert error.status is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "nonsense",
    [
        pb.GetTweetCountsRequest(tweet_ids=[b"short"]),
        pb.GetTweetCountsRequest(viewer_id=b"short"),
        pb.GetTweetCountsRequest(tweet_ids=[b"t" * 16] * 401),
    ],
)
async def test_nonsense_is_refused(engage: Engage, nonsense: pb.GetTweetCountsRequest) -> None:
    assert (await refusal(engage.stub.GetTweetCounts(nonsense))).status is grpc.StatusCode.INVALID_ARGUMENT


async def test_it_says_as_of_what_the_viewer_did_to_others_pages_are_to_be_judged(engage: Engage) -> None:
    """P44: also of no tweet; while nobody remembers it says so."""
    me, other, tweet = engage.user(), engage.user(), engage.tweet()
    await engage.recent.record(me.bytes, GRAPH_VERSION, (77).to_bytes(8))

    async def said(viewer: bytes, *tweets: bytes) -> tuple[int, bool]:
        answer = await engage.stub.GetTweetCounts(pb.GetTweetCountsRequest(viewer_id=viewer, tweet_ids=tweets))
        return answer.graph_version, answer.recent_unknown

    assert await said(me.bytes, tweet.bytes) == await said(me.bytes) == (77, False)
    assert await said(other.bytes, tweet.bytes) == await said(b"", tweet.bytes) == (0, False)
    engage.cache.away = True
    assert await said(me.bytes, tweet.bytes) == (0, True)
    assert await said(b"", tweet.bytes) == (0, False)
