"""The jobs that fan-out makes of events, and the fact that somebody read; signals to edges are in signals.py."""

from aviary.graph.v1.graph_pb2 import FollowerShard
from aviary.timeline.v1.events_pb2 import FanoutChunk, ReaderSeen
from aviary.tweet.v1.events_pb2 import TweetCreated

from runtime.ids import derived
from svc_timeline.days import DAY_MS


def first_chunk(event: TweetCreated, shard: FollowerShard) -> FanoutChunk:
    """The job that delivers a tweet to the first followers of a shard, and goes on from there."""
    chunk = FanoutChunk(
        occurred_at=event.occurred_at,
        tweet_id=event.tweet_id,
        author_id=event.author_id,
        level=shard.level,
        bucket=shard.bucket,
    )
    return _identified(chunk)


def next_chunk(chunk: FanoutChunk, after: bytes, as_of: bytes) -> FanoutChunk:
    """The job that goes on with the followers greater than `after`, in the state of their partition that this chunk's page named."""
    following = FanoutChunk()
    following.CopyFrom(chunk)
    following.after, following.as_of = after, as_of
    return _identified(following)


def reader_seen(user_id: bytes, day: int) -> ReaderSeen:
    """The announcement that a reader read on a day; the same day gives the same message."""
    event = ReaderSeen(
        event_id=derived(ReaderSeen.DESCRIPTOR.full_name, user_id, day.to_bytes(4)), user_id=user_id, day=day
    )
    event.occurred_at.FromMilliseconds(day * DAY_MS)
    return event


def _identified(chunk: FanoutChunk) -> FanoutChunk:
    """The same tweet, shard and start give the same id: the stream drops a repeated job."""
    place = chunk.level.to_bytes(4) + chunk.bucket.to_bytes(4)
    chunk.event_id = derived(FanoutChunk.DESCRIPTOR.full_name, chunk.tweet_id, place, chunk.after)
    return chunk
