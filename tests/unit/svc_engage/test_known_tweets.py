"""Which tweets exist: asked once, believed while deletions are certainly heard, bounded."""

import pytest
from grpc import aio

from svc_engage.errors import TweetNotFound
from svc_engage.known_tweets import KnownTweets
from tests.unit.svc_engage.engage import Engage


@pytest.fixture
def known(engage: Engage) -> KnownTweets:
    return engage.known


async def test_a_tweet_is_asked_for_once_while_deletions_are_heard(engage: Engage, known: KnownTweets) -> None:
    tweet = engage.tweet()
    await engage.believe()
    assert [await known.author_of(tweet.bytes) for _ in range(3)] == [engage.author(tweet)] * 3
    assert engage.tweets.calls == 1


async def test_a_deletion_that_is_heard_ends_what_was_known_at_once(engage: Engage, known: KnownTweets) -> None:
    tweet = engage.tweet()
    await engage.believe()
    await known.author_of(tweet.bytes)
    await engage.delete(tweet)
    with pytest.raises(TweetNotFound):
        await known.author_of(tweet.bytes)


async def test_while_deletions_may_go_unheard_every_tweet_is_asked_for(engage: Engage, known: KnownTweets) -> None:
    """750 ms of silence are enough: a deletion is answered only when nobody believes the tweet any more."""
    tweet = engage.tweet()
    await engage.believe()
    await known.author_of(tweet.bytes)
    engage.clock.us += 1_000_000
    engage.tweets.deleted.add(tweet.bytes)
    with pytest.raises(TweetNotFound):
        await known.author_of(tweet.bytes)


async def test_what_was_known_before_a_silence_is_asked_for_again_after_it(engage: Engage, known: KnownTweets) -> None:
    tweet = engage.tweet()
    await engage.believe()
    await known.author_of(tweet.bytes)
    engage.clock.us += 1_000_000
    await engage.believe()
    await known.author_of(tweet.bytes)
    await known.author_of(tweet.bytes)
    assert engage.tweets.calls == 2


async def test_what_does_not_exist_is_not_remembered(engage: Engage, known: KnownTweets) -> None:
    """It may be created a moment later."""
    await engage.believe()
    tweet_id = engage.ids.next()
    with pytest.raises(TweetNotFound):
        await known.author_of(tweet_id.bytes)
    engage.tweets.authors[tweet_id.bytes] = b"a" * 16
    assert await known.author_of(tweet_id.bytes) == b"a" * 16


async def test_no_more_are_remembered_than_was_said_and_the_least_used_goes(engage: Engage, known: KnownTweets) -> None:
    tweets = [engage.tweet() for _ in range(4)]
    await engage.believe()
    for tweet in (*tweets[:3], tweets[0], tweets[3]):
        await known.author_of(tweet.bytes)
    assert engage.tweets.calls == 4
    await known.author_of(tweets[0].bytes)
    assert engage.tweets.calls == 4
    await known.author_of(tweets[1].bytes)
    assert engage.tweets.calls == 5


async def test_while_svc_tweet_is_away_known_tweets_are_known_and_others_cannot_be_told(
    engage: Engage, known: KnownTweets
) -> None:
    tweet, other = engage.tweet(), engage.tweet()
    await engage.believe()
    await known.author_of(tweet.bytes)
    engage.tweets.down = True
    assert await known.author_of(tweet.bytes) == engage.author(tweet)
    with pytest.raises(aio.AioRpcError):
        await known.author_of(other.bytes)
