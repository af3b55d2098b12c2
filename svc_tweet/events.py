"""What tweets announce; they react to nothing."""

from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusChange

from runtime.ids import derived, ms_of
from svc_tweet.domain.tweets import Tweet


def tweet_created(tweet: Tweet) -> TweetCreated:
    """The announcement of a new tweet. The same tweet gives the same message, event id included."""
    event = TweetCreated(
        event_id=derived(TweetCreated.DESCRIPTOR.full_name, tweet.tweet_id.bytes),
        tweet_id=tweet.tweet_id.bytes,
        author_id=tweet.author_id.bytes,
    )
    event.occurred_at.FromMilliseconds(ms_of(tweet.tweet_id.bytes))
    return event


def tweet_deleted(tweet: Tweet, deleted_us: int) -> TweetDeleted:
    """The announcement of a deletion. A tweet has one, whatever number of calls delete it."""
    event = TweetDeleted(
        event_id=derived(TweetDeleted.DESCRIPTOR.full_name, tweet.tweet_id.bytes),
        tweet_id=tweet.tweet_id.bytes,
        author_id=tweet.author_id.bytes,
    )
    event.occurred_at.FromMicroseconds(deleted_us)
    return event


def tweet_gone(tweet: Tweet) -> TweetStatusChange:
    """What caches are told of a deletion."""
    return TweetStatusChange(tweet_id=tweet.tweet_id.bytes, author_id=tweet.author_id.bytes, deleted=True)
