"""Posting through the edge: how long an answer takes, and how long until the post is on the followers' sockets."""

import asyncio
import time
import uuid
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.query import BatchStatement, BatchType

from bench import people
from bench.driver import Target, bare_server, posts
from bench.figures import Ceiling, Row, each_us, percentile
from bench.orders import Latencies, Posted, PostOrder
from bench.people import Member
from bench.stage import NAMESPACE, Stage
from cql_client.connect import WRITE, open_session
from stack.ports import HOST
from svc_tweet.store import SCHEMA

NAME = "Posts"
POST_AIM_MS = 15
SOCKET_AIM_MS = 250
_BARE_POST = "a bare uvicorn taking the post, plus one bare logged batch of the same four inserts"
_BARE_SOCKET = "a bare uvicorn pushing a post to the same sockets, nothing stored"
_INSERTS = (
    "INSERT INTO tweets (tweet_id, author_id, body) VALUES (?, ?, ?)",
    "INSERT INTO tweets_by_author (author_id, month, tweet_id) VALUES (?, ?, ?)",
    "INSERT INTO author_months (author_id, month) VALUES (?, ?)",
    "INSERT INTO outbox (shard, bucket, event_id, subject, payload, created_at) VALUES (?, ?, ?, ?, ?, ?)",
)
_WARM_BATCHES = 50


async def run(stage: Stage) -> list[Row]:
    """Answers to one client, then answers, arrivals and CPU at a steady rate with sockets open."""
    sizes = stage.sizes
    texts = [tweet.text for tweet in people.excerpt(sizes.authors, sizes.tweets_each).tweets]
    authors = await people.register(stage.client, sizes.post_authors)
    readers = await people.register(stage.client, sizes.sockets)
    await people.follow(stage, [r.user_id for r in readers], [a.user_id for a in authors])
    steady = round(sizes.posts_a_second * sizes.posts_seconds)

    def order(target: Target, sockets: list[Member], count: int, rate: float) -> PostOrder:
        tokens = ([a.token for a in authors], [r.token for r in sockets])
        return PostOrder(target.host, target.port, *tokens, texts, max(10, count // 4), count, rate)

    edge = Target(HOST, stage.http_port, stage.meter)
    batch = await asyncio.to_thread(_bare_batches, stage, sizes.posts_alone)
    async with bare_server(b"{}") as bare:
        alone, _ = await posts(order(edge, [], sizes.posts_alone, 0), edge.meter)
        bare_alone, _ = await posts(order(bare, [], sizes.posts_alone, 0), bare.meter)
        busy, used = await posts(order(edge, readers, steady, sizes.posts_a_second), edge.meter)
        bare_busy, bare_used = await posts(order(bare, readers, steady, sizes.posts_a_second), bare.meter)
    rate = f"at {sizes.posts_a_second:g} posts/s"
    each = each_us(used, steady)
    least_us = sum(each_us(bare_used, steady).values())
    cpu = f"CPU a post {rate}, {len(readers)} sockets"
    return [
        *_answers("one client", alone.posts, bare_alone.posts, batch, POST_AIM_MS),
        *_answers(rate, busy.posts, bare_busy.posts, batch, None),
        *_arrivals(f"post → socket {rate}, {len(readers)} sockets", busy, bare_busy),
        Row(NAME, cpu, "us", sum(each.values()), Ceiling(_BARE_SOCKET, least_us), parts=each),
    ]


def _answers(what: str, ours: Latencies, bare: Latencies, batch: Latencies, aim: float | None) -> list[Row]:
    p50, p99 = Ceiling(_BARE_POST, bare.p50_ms + batch.p50_ms), Ceiling(_BARE_POST, bare.p99_ms + batch.p99_ms)
    return [Row(NAME, f"{what}: p50", "ms", ours.p50_ms, p50, aim), Row(NAME, f"{what}: p99", "ms", ours.p99_ms, p99)]


def _arrivals(what: str, ours: Posted, bare: Posted) -> list[Row]:
    if ours.missing or ours.arrivals is None or bare.arrivals is None:
        raise RuntimeError(f"{ours.missing} posts did not arrive on a socket")
    return [
        Row(NAME, f"{what}: p50", "ms", ours.arrivals.p50_ms, Ceiling(_BARE_SOCKET, bare.arrivals.p50_ms)),
        Row(
            NAME, f"{what}: p99", "ms", ours.arrivals.p99_ms, Ceiling(_BARE_SOCKET, bare.arrivals.p99_ms), SOCKET_AIM_MS
        ),
    ]


def _bare_batches(stage: Stage, count: int) -> Latencies:
    """What the four inserts of a post take, one batch after the other, by the driver alone."""
    opened = open_session(stage.config(f"{NAMESPACE}_bare", "tweet"), SCHEMA, 60)
    inserts = [opened.session.prepare(text) for text in _INSERTS]
    taken = []
    for _ in range(_WARM_BATCHES + count):
        batch = _bare_batch(inserts)
        started = time.perf_counter()
        opened.session.execute(batch, execution_profile=WRITE)
        taken.append(time.perf_counter() - started)
    opened.cluster.shutdown()
    measured = taken[_WARM_BATCHES:]
    p50, p95, p99 = (percentile(measured, share) * 1000 for share in (0.50, 0.95, 0.99))
    return Latencies(count, sum(measured), p50, p95, p99)


def _bare_batch(inserts: list[Any]) -> Any:
    tweet_id, author_id = uuid.uuid4(), uuid.uuid4()
    rows = (
        (tweet_id, author_id, bytes(200)),
        (author_id, 1, tweet_id),
        (author_id, 1),
        (0, time.time_ns() // 10**10, tweet_id.bytes, "subject", bytes(100), time.time_ns() // 10**6),
    )
    batch = BatchStatement(BatchType.LOGGED, consistency_level=ConsistencyLevel.LOCAL_QUORUM)
    for insert, row in zip(inserts, rows, strict=True):
        batch.add(insert, row)
    return batch
