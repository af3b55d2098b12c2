"""DeleteTweet: the end of a tweet of one's own."""

import asyncio
import uuid

from aviary.tweet.v1.tweet_pb2 import DeleteTweetRequest, DeleteTweetResponse

from readers.recent import DELETED_TWEET, tweet_value
from runtime.context import Caller
from svc_tweet.deps import Deps
from svc_tweet.domain.tweets import Tweet, deletion_us, ensure_may_delete
from svc_tweet.events import tweet_deleted, tweet_gone


async def delete_tweet(request: DeleteTweetRequest, caller: Caller, deps: Deps) -> DeleteTweetResponse:
    """Delete the caller's own tweet, finally; once more changes nothing. Fails with TWEET_NOT_FOUND, NOT_YOUR_TWEET.

    Every cache is told before the answer, also by a repetition: the first call may have died before it told them. Raises Unavailable
    when nobody could be told for too long; the deletion stands.
    """
    tweet = ensure_may_delete(await deps.store.get(uuid.UUID(request.tweet_id)), caller)
    with deps.signals.doubted_unless_told():
        place = 0 if tweet.deleted else await announced(tweet, deps)
        await asyncio.gather(
            deps.signals.tell(changes=[tweet_gone(tweet)]),
            deps.recent.record(caller.user_id, DELETED_TWEET, tweet_value(tweet.tweet_id.bytes, place)),
        )
    deps.faults.at("tweet.delete.before_answer")
    return DeleteTweetResponse(tweet_id=str(tweet.tweet_id), status="deleted")


async def announced(tweet: Tweet, deps: Deps) -> int:
    """Write the deletion with its announcement and publish that soon, answering its place; the relay publishes what a crash leaves."""
    deleted_us = deletion_us(tweet.tweet_id, deps.clock.now_us())
    event = tweet_deleted(tweet, deleted_us)
    deps.faults.at("tweet.delete.before_batch")
    await deps.store.delete(tweet, deleted_us, announce=event)
    deps.faults.at("tweet.delete.after_batch")
    [place] = await deps.outbox.publish_soon(event)
    return place
