"""Fan-out: plan, chunks and the backfill of a follow; each is done again after any crash, and what it does twice counts once."""

from aviary.graph.v1.events_pb2 import FollowSet
from aviary.graph.v1.graph_pb2 import (
    FollowerShard,
    GetFollowerPageRequest,
    GetFollowerPageResponse,
    GetFollowerShardsRequest,
)
from aviary.timeline.v1.events_pb2 import FanoutChunk
from aviary.tweet.v1.events_pb2 import TweetCreated

from runtime.bus import Poison, consumes
from runtime.ids import ms_of, split_ids
from runtime.telemetry import logger
from svc_timeline import metrics
from svc_timeline.deps import Deps
from svc_timeline.domain import ID_BYTES, Entry
from svc_timeline.events import first_chunk, next_chunk

log = logger(__name__)


@consumes(TweetCreated, durable="timeline-plan")
async def plan_fanout(event: TweetCreated, deps: Deps) -> None:
    """A replay publishes the same jobs under the same ids (tweet, shard, start); the stream drops what it has, workers bear the rest."""
    _ensure_ids(event.tweet_id, event.author_id)
    answer = await deps.graph.GetFollowerShards(GetFollowerShardsRequest(user_id=event.author_id))
    # Somebody without followers still has a home of their own.
    shards = list(answer.shards) or [FollowerShard()]
    deps.faults.at("timeline.plan.before_jobs")
    await deps.bus.publish(*(first_chunk(event, shard) for shard in shards))
    deps.faults.at("timeline.plan.after_jobs")


@consumes(FanoutChunk, durable="timeline-chunk")
async def deliver_chunk(chunk: FanoutChunk, deps: Deps) -> None:
    """A replay publishes the same next job, writes the same cells, and lets the entry arrive again, which readers see once.

    The order keeps promises: the rest of the followers are somebody's work before this work is done; the store has the
    entry before any window, so that a window can always be rebuilt; nobody is told live before both.
    """
    _ensure_ids(chunk.tweet_id, chunk.author_id)
    page = await _followers(chunk, deps)
    deps.faults.at("timeline.chunk.after_page")
    if page.has_more:
        await deps.bus.publish(next_chunk(chunk, page.follower_ids[-ID_BYTES:], page.as_of))
    readers = split_ids(page.follower_ids)
    # In one of a large author's thousands of partitions: the same entry from all would push everything else out of the window.
    if not (chunk.level or chunk.bucket or chunk.after):
        readers.append(chunk.author_id)
    entry = Entry(chunk.tweet_id, chunk.author_id)
    if _age_ms(chunk.tweet_id, deps) < deps.limits.depth_ms:
        await _deliver(entry, readers, deps)
    if not page.has_more:
        metrics.FANOUT_LAG.observe(max(0, _age_ms(chunk.tweet_id, deps)) / 1000)
    deps.faults.at("timeline.chunk.before_ack")


@consumes(FollowSet, durable="timeline-backfill")
async def backfill_follow(event: FollowSet, deps: Deps) -> None:
    """A replay adds the same entries again, which changes nothing; one after an unfollow adds what reading hides.

    One pass is enough while follower pages hold what was so when a chunk of the tweet was done: a tweet whose chunks did not see the
    follow is older than the follow's event, so the head of the author's timeline has it.
    """
    _ensure_ids(event.follower_id, event.followee_id)
    if not event.following:
        return
    entries = [Entry(tweet_id, event.followee_id) for tweet_id in await deps.heads.of(event.followee_id)]
    entries = [entry for entry in entries if _age_ms(entry.entry_id, deps) < deps.limits.depth_ms]
    if entries:
        await deps.store.add([event.follower_id], entries)
        deps.faults.at("timeline.backfill.after_stored")
        await deps.cache.insert(event.follower_id, entries)
    deps.faults.at("timeline.backfill.before_ack")


async def _followers(chunk: FanoutChunk, deps: Deps) -> GetFollowerPageResponse:
    shard = FollowerShard(level=chunk.level, bucket=chunk.bucket)
    request = GetFollowerPageRequest(user_id=chunk.author_id, shard=shard, after=chunk.after, limit=deps.limits.chunk)
    # Who followed after an earlier chunk of the tweet read its page did so after the tweet was stored: the backfill is theirs.
    request.as_of = chunk.as_of
    return await deps.graph.GetFollowerPage(request)


async def _deliver(entry: Entry, readers: list[bytes], deps: Deps) -> None:
    at_once = deps.limits.rows_at_once
    for start in range(0, len(readers), at_once):
        if start:
            deps.faults.at("timeline.chunk.middle")
        await deps.store.add(readers[start : start + at_once], [entry])
    deps.faults.at("timeline.chunk.after_stored")
    # One after the other: who connects between an early look at presence and the push would miss the tweet live and in the window.
    await deps.windows.push(readers, entry)
    deps.faults.at("timeline.chunk.after_pushed")
    edges = await deps.presence.edges_of(readers)
    await deps.live.send(entry, edges)
    # A stream that is open is somebody who reads, although perhaps nothing else of theirs comes here for weeks.
    for connected in edges.values():
        for user_id in connected:
            deps.seen.begin(user_id)
    metrics.DELIVERIES.inc(len(readers))


def _age_ms(tweet_id: bytes, deps: Deps) -> int:
    return deps.clock.now_ms() - ms_of(tweet_id)


def _ensure_ids(*ids: bytes) -> None:
    if any(len(value) != ID_BYTES for value in ids):
        raise Poison("an id is not 16 bytes long")
