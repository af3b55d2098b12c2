"""What a stored tweet and a claim are, how they are made, and where an id lies in time; text is judged in texts.py."""

import datetime
import uuid
from dataclasses import dataclass

from aviary.tweet.v1 import tweet_pb2 as pb

from idempotency import KEPT_S
from runtime.context import Caller
from runtime.ids import ms_of, uuid7_of
from svc_tweet.domain.texts import Text
from svc_tweet.errors import NotYourTweet, TweetNotFound

PURGE_AFTER_S = 24 * 3600
"""How long the text of a deleted tweet stays."""

_ALL_ONES = (1 << 74) - 1
_LAST_MS = int(datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC).timestamp() * 1000)
NEWEST = uuid7_of(_LAST_MS, _ALL_ONES)
OLDEST = uuid7_of(0)


@dataclass(frozen=True, slots=True)
class Tweet:
    """A tweet as stored. `body` is a serialized TweetBody; some time after the deletion it is empty."""

    tweet_id: uuid.UUID
    author_id: uuid.UUID
    body: bytes
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What an idempotency key stands for: the request's digest, the id of its tweet and the owners of the names in its text.

    All that a retry could find otherwise than the first call lies here, so that both write identical rows.
    """

    body_hash: bytes
    tweet_id: uuid.UUID
    mentioned: bytes


def claim_ttl_s(caller: Caller) -> int:
    """How long a claim of the caller lives; 0 is for ever, for what a service imports on behalf of a user."""
    imports = caller.service and not caller.session_id
    return 0 if imports else KEPT_S


def new_tweet(claim: Claim, author_id: uuid.UUID, text: Text) -> Tweet:
    """The tweet of a claim. The same claim and text make the same bytes."""
    body = pb.TweetBody(
        tweet_id=claim.tweet_id.bytes,
        author_id=author_id.bytes,
        tweet_type=pb.TWEET_TYPE_TWEET,
        content=text.content,
        entities=text.entities(claim.mentioned),
    )
    return Tweet(claim.tweet_id, author_id, body.SerializeToString(deterministic=True))


def created_view(tweet: Tweet) -> pb.CreateTweetResponse:
    """The answer to the author of a new tweet."""
    body = pb.TweetBody.FromString(tweet.body)
    view = pb.CreateTweetResponse(
        tweet_id=str(tweet.tweet_id),
        user_id=str(tweet.author_id),
        tweet_type=body.tweet_type,
        content=body.content,
        hashtags=[hashtag.tag for hashtag in body.entities.hashtags],
        mentions=dict.fromkeys(mention.user_id for mention in body.entities.mentions),
        entities=body.entities,
    )
    view.created_at.FromMilliseconds(ms_of(tweet.tweet_id.bytes))
    view.updated_at.CopyFrom(view.created_at)
    return view


def ensure_may_delete(tweet: Tweet | None, caller: Caller) -> Tweet:
    """The tweet, when it is the caller's own. Raises TweetNotFound, NotYourTweet."""
    if tweet is None or (tweet.deleted and tweet.author_id.bytes != caller.user_id):
        raise TweetNotFound("there is no such tweet")
    if tweet.author_id.bytes != caller.user_id:
        raise NotYourTweet("the tweet is somebody else's", tweet_id=tweet.tweet_id)
    return tweet


def born_us(tweet_id: uuid.UUID) -> int:
    """Microseconds since 1970 of the tweet's time: the timestamp of every cell that its creation writes."""
    return ms_of(tweet_id.bytes) * 1000


def deletion_us(tweet_id: uuid.UUID, now_us: int) -> int:
    """The timestamp of a deletion: now, but behind the creation even when that process had a faster clock."""
    return max(now_us, born_us(tweet_id) + 1)


def month_of(tweet_id: uuid.UUID) -> int:
    """The month of the tweet's time in UTC as a number, 202611 for November 2026."""
    moment = datetime.datetime.fromtimestamp(min(ms_of(tweet_id.bytes), _LAST_MS) / 1000, datetime.UTC)
    return moment.year * 100 + moment.month


def before(max_id: bytes) -> uuid.UUID:
    """The bound that tweets strictly below `max_id` lie below; NEWEST for no bound. Any 16 bytes are taken.

    Databases order ids by their version first, and clients send ids of any: what is returned is a UUIDv7.
    """
    if not max_id:
        return NEWEST
    version = max_id[6] >> 4
    if version == 7:
        return min(uuid.UUID(bytes=max_id), NEWEST)
    ms = ms_of(max_id) + (version > 7)
    return uuid7_of(ms) if ms <= _LAST_MS else NEWEST


def after(since_id: bytes) -> uuid.UUID:
    """The bound that tweets strictly above `since_id` lie above; OLDEST for no bound. Any 16 bytes are taken."""
    if not since_id:
        return OLDEST
    version = since_id[6] >> 4
    if version == 7:
        return uuid.UUID(bytes=since_id)
    ms = ms_of(since_id) - (version < 7)
    return uuid7_of(ms, _ALL_ONES) if ms >= 0 else OLDEST
