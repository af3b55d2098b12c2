"""What reads scan on their way (P30): the server's own traces tell of tombstones after many inserts, deletions and expiries."""

import asyncio
import dataclasses
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted
from cassandra.query import BoundStatement

from cql_client import Cql
from cql_client.connect import open_session
from outbox import CqlOutboxTable, Outbox, Relay
from outbox.table import BUCKET_MS, SHARDS
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, uuid7_of
from simulation.bus import MemoryBus
from svc_engage.domain.marks import UNMARKED, LikeState, MarkKind
from svc_engage.store_cql import SCHEMA as ENGAGE_SCHEMA
from svc_engage.store_cql import CqlEngageStore
from svc_timeline import store as home_module
from svc_timeline.domain import LAST_ID, NO_ID, Entry, Span
from svc_timeline.store import CqlHomeStore
from svc_tweet.domain.tweets import NEWEST, OLDEST, Tweet, deletion_us
from svc_tweet.events import tweet_created, tweet_deleted
from svc_tweet.store import SCHEMA as TWEET_SCHEMA
from svc_tweet.store import CqlTweetStore
from tests.storing import store_like
from tests.waiting import until

CLOCK = SystemClock()
DAY_MS = 24 * 3600 * 1000
TTL_S = 30 * 24 * 3600
PAGE = 50
_SCANNED = re.compile(r"Read (\d+) live rows and (\d+) tombstone cells")


class Traced:
    """A session whose reads are traced while somebody looks."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._traced: list[Any] = []
        self.looks = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def execute_async(self, query: Any, **options: Any) -> Any:
        """As the session's, traced."""
        looks = (
            self.looks
            and isinstance(query, BoundStatement)
            and query.prepared_statement.query_string.startswith("SELECT")
        )
        future = self._session.execute_async(query, trace=looks, **options)
        if looks:
            self._traced.append(future)
        return future

    def look(self) -> None:
        """Look at the reads from now on."""
        self._traced.clear()
        self.looks = True

    def scanned(self) -> tuple[int, int]:
        """The most rows and the most tombstones that one read of one partition has met. Blocks until the traces are whole."""
        told = [event.description for future in self._traced for event in future.get_query_trace(30).events]
        found = [tuple(map(int, numbers)) for text in told for numbers in _SCANNED.findall(text)]
        return max(rows for rows, _ in found), max(tombstones for _, tombstones in found)


@asynccontextmanager
async def opened(config: MeshConfig, area: str, schema: Path) -> AsyncIterator[tuple[Cql, Traced]]:
    """A session on a keyspace of this test alone, and who looks at its reads."""
    own = dataclasses.replace(config, area=area, namespace=f"{config.namespace}p30{uuid.uuid4().hex[:4]}")
    whole = await asyncio.to_thread(open_session, own, schema, 120)
    traced = Traced(whole.session)
    cql = Cql(dataclasses.replace(whole, session=traced))
    yield cql, traced
    await cql.close()


def entry(age_ms: int) -> Entry:
    return Entry(uuid7_of(CLOCK.now_ms() - age_ms, uuid.uuid4().int).bytes, os.urandom(16), 0)


async def test_a_home_of_ten_thousand_entries_is_read_without_meeting_a_tombstone(mesh_config: MeshConfig) -> None:
    """P30: what is older than homes reach back has expired, nothing was deleted, and a page reads its own rows."""
    async with opened(mesh_config, "timeline", Path(home_module.__file__).parent / "schema") as (cql, traced):
        store, reader = CqlHomeStore(cql, CLOCK, TTL_S), os.urandom(16)
        await store.add([reader], [entry(n * 20 * DAY_MS // 10_000) for n in range(10_000)])
        # These live for a second or two more: their time is nearly over.
        dying = [entry(TTL_S * 1000 - 2_000 + n) for n in range(1_000)]
        await store.add([reader], dying)
        gone_ms = CLOCK.now_ms() + 5_000
        await until(lambda: CLOCK.now_ms() > gone_ms)
        traced.look()
        newest = await store.read(reader, Span(NO_ID, LAST_ID), PAGE)
        oldest = await store.read(reader, Span(NO_ID, entry(19 * DAY_MS + DAY_MS // 2).entry_id), 1_000)
        assert len(newest) == PAGE and 200 < len(oldest) < 300
        assert not {e.entry_id for e in oldest} & {e.entry_id for e in dying}
        rows, tombstones = await asyncio.to_thread(traced.scanned)
        # However long the home is, a page scans no more than a page.
        assert tombstones == 0 and 0 < rows <= 1_000


async def test_an_author_who_deleted_half_of_four_hundred_tweets_is_listed_without_a_tombstone(
    mesh_config: MeshConfig,
) -> None:
    """P30: a deletion is a cell, never a CQL DELETE."""
    async with opened(mesh_config, "tweet", TWEET_SCHEMA) as (cql, traced):
        bus = MemoryBus("tweet")
        await bus.declare([TweetCreated, TweetDeleted])
        store = CqlTweetStore(cql, Outbox(CqlOutboxTable(cql, CLOCK), bus, CLOCK, NO_FAULTS))
        author = uuid7_of(CLOCK.now_ms(), uuid.uuid4().int)
        now_ms = CLOCK.now_ms()
        tweets = [Tweet(uuid7_of(now_ms - n, uuid.uuid4().int), author, b"text") for n in range(400)]
        for start in range(0, len(tweets), 100):
            some = tweets[start : start + 100]
            await asyncio.gather(*(store.insert(tweet, tweet_created(tweet)) for tweet in some))
            for tweet in some[::2]:
                deleted_us = deletion_us(tweet.tweet_id, CLOCK.now_us())
                await store.delete(tweet, deleted_us, tweet_deleted(tweet, deleted_us))
        traced.look()
        listed = await store.list_by_author(author, NEWEST, OLDEST, 1_000)
        assert listed == [tweet.tweet_id for tweet in tweets if tweet not in tweets[::2]]
        rows, tombstones = await asyncio.to_thread(traced.scanned)
        assert rows > 0 and tombstones == 0


class Later:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.ms = CLOCK.now_ms()

    def now_ms(self) -> int:
        """The time in milliseconds."""
        return self.ms

    def now_us(self) -> int:
        """The time in microseconds."""
        return self.ms * 1000


async def test_a_relay_meets_no_more_tombstones_than_were_announced_in_ten_seconds(mesh_config: MeshConfig) -> None:
    """P30: published announcements are deleted; each bucket is read at a few ages, and never again, however many there were."""
    async with opened(mesh_config, "tweet", TWEET_SCHEMA) as (cql, traced):
        clock, bus = Later(), MemoryBus("tweet")
        await bus.declare([TweetCreated])
        table = CqlOutboxTable(cql, clock)
        outbox = Outbox(table, bus, clock, NO_FAULTS)
        relay = Relay(table, bus, clock, NO_FAULTS, (15, 60, 900))
        await relay.pass_once()
        buckets, each = 15, 100
        for _ in range(buckets):
            clock.ms += BUCKET_MS
            events = [
                TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))
                for _ in range(each)
            ]
            await asyncio.gather(*(cql.logged_batch([outbox.row(event)]) for event in events))
            await outbox.publish_soon(*events)
            await relay.pass_once()
        traced.look()
        clock.ms += 70_000
        await relay.pass_once()
        assert len(bus.published) == buckets * each
        _, tombstones = await asyncio.to_thread(traced.scanned)
        # One partition holds what one shard announced in ten seconds; the ids do not fall evenly on the shards.
        assert 0 < tombstones < 3 * each / SHARDS


def new_id() -> bytes:
    return uuid7_of(CLOCK.now_ms(), uuid.uuid4().int).bytes


def like(tweet: bytes, user: bytes, at: int) -> LikeState:
    return LikeState(tweet, b"a" * 16, user, True, at, 0, CLOCK.now_ms())


async def test_lists_of_what_was_liked_and_unliked_thousands_of_times_are_read_past_deletions_that_last_an_hour(
    mesh_config: MeshConfig,
) -> None:
    """P30: each end of a like leaves one deletion in both lists, on top of what is still liked."""
    async with opened(mesh_config, "engage", ENGAGE_SCHEMA) as (cql, traced):
        store, times, others = CqlEngageStore(cql, CLOCK), 2_000, 30
        tweets, users = [new_id() for _ in range(others + 1)], [new_id() for _ in range(others + 1)]
        alice, tweet = users[-1], tweets[-1]
        # Below: other tweets that alice likes, and others who like the tweet.
        kept = [like(one, alice, at) for at, one in enumerate(tweets[:-1], start=1)]
        kept += [like(tweet, user, at) for at, user in enumerate(users[:-1], start=others + 1)]
        await asyncio.gather(*(store_like(store, state, UNMARKED, 1) for state in kept))
        places = asyncio.Semaphore(64)

        async def undone(at: int) -> None:
            liked = like(tweet, alice, at)
            async with places:
                # The like itself need not be stored to be deleted.
                await store_like(store, replace(liked, liked=False, at=at + 1), liked.mark(UNMARKED, 1), -1)

        await asyncio.gather(*(undone(1_000 + 2 * n) for n in range(times)))

        async def read() -> tuple[int, int]:
            traced.look()
            listed = await store.list_marked(alice, MarkKind.LIKE, None, 20)
            assert [row.tweet_id for row in listed] == tweets[-2:-22:-1]
            likers = await store.list_likers(tweet, 0, None, 20)
            assert [row.user_id for row in likers] == users[-2:-22:-1]
            return await asyncio.to_thread(traced.scanned)

        rows, tombstones = await read()
        assert rows <= PAGE and tombstones == times
        for table in ("marks_by_time", "likers"):
            # The hour is over at once.
            await asyncio.to_thread(traced.execute, f"ALTER TABLE {table} WITH gc_grace_seconds = 0")

        async def forgotten() -> bool:
            return await read() == (rows, 0)

        await until(forgotten)
