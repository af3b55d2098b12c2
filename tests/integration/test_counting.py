"""Counting on real servers: a frozen owner, servers that are away, a log that comes again; owners are killed in tests/chaos."""

import asyncio
import contextlib
import dataclasses
import itertools
import os
import signal
import sys
import uuid
import zlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aviary.engage.v1.events_pb2 import CountsChanged, LikeSet

from ordered import OrderedConsumer
from ordered.nats import NatsSource
from runtime.bus.envelope import PARTITIONS
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from runtime.ids import SystemClock, Uuid7Ids
from svc_engage import metrics
from svc_engage.counting.changes import LOGS
from svc_engage.counting.recount import Recounts
from svc_engage.domain.families import Family
from svc_engage.domain.levels import shard_of
from svc_engage.domain.relations import Kind, Subject
from svc_engage.events import like_set
from svc_engage.ledger import CqlLedger
from svc_engage.store_cql import written_at
from svc_engage.workers import Counting
from tests.integration.counting_process import LEVELS, Process
from tests.proxy import proxy_before
from tests.waiting import until

TTL_S = 5.0
NUMBERS = itertools.count()
IDS = Uuid7Ids(SystemClock())
USERS = [IDS.next().bytes for _ in range(30)]


class Mesh:
    """Likes that are published, whoever counts them, and what must come out."""

    def __init__(self, process: Process, env: dict[str, str]) -> None:
        config = process.config
        self.process = process
        self.store = process.store
        self.tweets = [IDS.next().bytes for _ in range(12)]
        """In so many partitions that each of a few owners has some."""
        self.states: dict[tuple[bytes, bytes], bool] = {}
        self._as_of: dict[Subject, int] = {}
        self._env = {**os.environ, **env, "AVIARY_NAMESPACE": config.namespace, "AVIARY_FAULT_DIR": config.fault_dir}
        self._env |= {"AVIARY_ENGAGE_PORT": "0", "AVIARY_ENGAGE_METRICS_PORT": "0"}
        self._children: list[asyncio.subprocess.Process] = []

    async def start(self) -> asyncio.subprocess.Process:
        """Begin a process that counts."""
        words = ("-m", "tests.integration.counting_process", str(TTL_S))
        child = await asyncio.create_subprocess_exec(sys.executable, *words, env=self._env)
        self._children.append(child)
        return child

    @contextlib.asynccontextmanager
    async def counting(self, process: Process | None = None) -> AsyncIterator[Counting]:
        """Count in this process."""
        counting = (process or self.process).counting()
        task = asyncio.create_task(counting.run())
        try:
            yield counting
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def event(self, tweet: int, user: int, liked: bool) -> LikeSet:
        """The next state of a pair."""
        tweet_id, user_id = self.tweets[tweet], USERS[user]
        self.states[tweet_id, user_id] = liked
        now_ms = SystemClock().now_ms()
        return like_set(
            event_id=IDS.next(),
            tweet_id=tweet_id,
            author_id=USERS[0],
            user_id=user_id,
            liked=liked,
            level=0,
            now_ms=now_ms,
        )

    async def like(self, turn: int, count: int = 40) -> None:
        """Some likes and ends of likes, some of them twice."""
        events = [self.event(n % 12, (n + turn) % 30, (n + turn) % 4 > 0) for n in range(count)]
        twice = [self.event(n % 12, (n + turn) % 30, (n + turn) % 4 > 0) for n in range(0, count, 5)]
        await self.process.bus.publish(*events)
        await self.process.bus.publish(*twice)

    def partition(self, tweet: int) -> int:
        """Where the likes of a tweet are."""
        return zlib.crc32(self.tweets[tweet]) % PARTITIONS

    def truth(self) -> dict[Subject, int]:
        """How many like each tweet."""
        found = {Subject(tweet_id, Kind.LIKES): 0 for tweet_id, _ in self.states}
        for (tweet_id, _), liked in self.states.items():
            found[Subject(tweet_id, Kind.LIKES)] += liked
        return found

    async def right(self) -> bool:
        """Whether all is counted; meanwhile no count goes back, and none is negative."""
        try:
            counts = await self.store.counts([Subject(tweet_id, Kind.LIKES) for tweet_id in self.tweets])
        except Unavailable:
            return False
        for subject, count in counts.items():
            assert count.as_of >= self._as_of.get(subject, 0)
            assert count.count >= 0
            self._as_of[subject] = count.as_of
        return {s: c.count for s, c in counts.items()} == self.truth()

    async def all_is_right(self) -> None:
        """Wait until counts, rows and the cache say what is true."""
        await until(self.right)
        truth = self.truth()
        wanted = {s: [user for tweet, user in self.states if tweet == s.subject_id] for s in truth}

        async def same() -> bool:
            try:
                rows = await self.store.rows(wanted, dict.fromkeys(wanted, 2))
                glance = await self.process.cache.look(Family.TWEET, b"", [s.subject_id for s in truth])
            except Unavailable:
                return False
            counted = {s: sum(row.counted for row in members.values()) for s, members in rows.items()}
            cached = [slots[0] if slots else None for slots in glance.counts]
            return counted == truth and cached == list(truth.values())

        await until(same)
        assert await self.right()

    async def close(self) -> None:
        """Kill what lives."""
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


@pytest.fixture(scope="module")
async def process(mesh_config: MeshConfig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Process]:
    faults, namespace = tmp_path_factory.mktemp("faults"), f"{mesh_config.namespace}count"
    config = dataclasses.replace(mesh_config, area="engage", namespace=namespace, fault_dir=str(faults))
    process = await Process.connect(config, TTL_S)
    yield process
    for stream in await process.bus._js.streams_info():
        if namespace in (stream.config.name or ""):
            await process.bus._js.delete_stream(stream.config.name or "")
    await process.close()


@pytest.fixture
async def mesh(process: Process, mesh_env: dict[str, str]) -> AsyncIterator[Mesh]:
    mesh = Mesh(process, mesh_env)
    yield mesh
    await mesh.close()


async def test_a_log_that_is_read_again_from_its_beginning_beside_another_owner_changes_nothing(mesh: Mesh) -> None:
    """P52."""
    async with mesh.counting():
        await mesh.like(0)
        await mesh.all_is_right()
        # By another name, so that it has leases and positions of its own: it owns all, and nothing was ever counted.
        twin = dataclasses.replace(LOGS[0], durable="engage-likes-twin")
        other = mesh.process.machine(twin)
        source = NatsSource(mesh.process.bus, TTL_S)
        reading = asyncio.create_task(OrderedConsumer(mesh.process.bus, source, other).run())
        for turn in range(1, 4):
            await mesh.like(turn)
            await until(mesh.right)

        async def read() -> bool:
            mine, theirs = [await mesh.store.positions(one) for one in ("engage-likes", twin.durable)]
            return all(theirs.get(mesh.partition(n), 0) >= mine[mesh.partition(n)] for n in range(12))

        await until(read)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await other.close()
        await mesh.all_is_right()


async def test_an_owner_that_is_frozen_and_wakes_up_after_another_took_over_harms_nothing(mesh: Mesh) -> None:
    frozen = await mesh.start()
    await mesh.like(0)
    await mesh.all_is_right()
    await mesh.like(1)
    frozen.send_signal(signal.SIGSTOP)
    async with mesh.counting():
        await mesh.like(2)
        await mesh.all_is_right()
        frozen.send_signal(signal.SIGCONT)
        for turn in range(3, 6):
            await mesh.like(turn)
            await mesh.all_is_right()


async def test_servers_that_are_away_for_a_while_lose_and_double_nothing(mesh: Mesh) -> None:
    config = mesh.process.config
    ports = config.cql_contact_points[0][1], urlsplit(config.redis_url).port, urlsplit(config.nats_urls[0]).port
    async with contextlib.AsyncExitStack() as kept:
        cql, redis, nats = [await kept.enter_async_context(proxy_before(port or 0)) for port in ports]
        far = dataclasses.replace(
            config,
            cql_contact_points=(("127.0.0.1", cql.port),),
            redis_url=f"redis://127.0.0.1:{redis.port}/0",
            nats_urls=(f"nats://127.0.0.1:{nats.port}",),
        )
        process = await Process.connect(far, TTL_S)
        kept.push_async_callback(process.close)
        async with mesh.counting(process):
            await mesh.like(0)
            await mesh.all_is_right()
            for turn, away in enumerate(([redis], [cql, nats]), start=1):
                await mesh.like(2 * turn)
                for proxy in away:
                    await proxy.cut()
                await mesh.like(2 * turn + 1)
                if away == [redis]:
                    await until(mesh.right)
                else:
                    # Long enough for a batch to meet it.
                    await asyncio.sleep(1.5)
                for proxy in away:
                    await proxy.mend()
                await mesh.all_is_right()


async def test_a_hot_tweet_costs_a_count_write_a_second_and_its_watchers_hear_as_often(mesh: Mesh) -> None:
    """P54: 1,000 likes in a second; the writes are counted."""
    heard: list[CountsChanged] = []

    async def hear(signal: CountsChanged) -> None:
        heard.append(signal)

    async with mesh.counting():
        await mesh.like(0, 12)
        await mesh.all_is_right()
        stop = await mesh.process.bus.listen(CountsChanged, hear, mesh.partition(0).to_bytes(2))
        loop, writes = asyncio.get_running_loop(), metrics.COUNT_WRITES.labels("likes")
        began, before = loop.time(), writes._value.get()
        for turn in range(10):
            await mesh.process.bus.publish(*(mesh.event(0, (n + turn) % 30, n % 7 > 0) for n in range(100)))
        await mesh.all_is_right()
        seconds = loop.time() - began
        assert 0 < writes._value.get() - before <= seconds + 1
        assert 0 < len(heard) <= seconds + 1
        await stop()


async def test_counts_and_rows_that_somebody_falsified_in_the_store_are_found_and_repaired(mesh: Mesh) -> None:
    """P56: written by hand, with the timestamps of what stands there; of two such values the greater one stays."""
    first, second, third = (Subject(mesh.tweets[n], Kind.LIKES) for n in (2, 4, 1))
    cql = mesh.process.cql
    count = cql.prepare("UPDATE counts USING TIMESTAMP ? SET count = ? WHERE subject_id = ? AND kind = 1")
    row = cql.prepare(
        "UPDATE edges USING TIMESTAMP ? SET counted = true WHERE subject_id = ? AND kind = 1 AND shard = ? AND member_id = ?"
    )
    async with mesh.counting() as counting:
        await mesh.like(0)
        await mesh.all_is_right()
        counts = await mesh.store.counts([first, second, third])
        rows = (await mesh.store.rows({second: USERS}, {second: 2}))[second]
        user, false = next((user, row) for user, row in rows.items() if not row.counted)
        await cql.execute(count, (written_at(counts[first].as_of), 4711, uuid.UUID(bytes=first.subject_id)))
        for level in range(3):
            where = uuid.UUID(bytes=second.subject_id), shard_of(level, user), uuid.UUID(bytes=user)
            await cql.execute(row, (written_at(false.counted_at), *where))
        await cql.execute(count, (written_at(counts[third].as_of, repaired=True), 0, uuid.UUID(bytes=third.subject_id)))
        recounts = Recounts(
            counting.machines,
            mesh.store,
            CqlLedger(mesh.process.cql),
            Rows(),
            counting.teller,
            SystemClock(),
            counting.lag_ms,
            levels=LEVELS,
            every_s=0,
            again_s=0.2,
        )
        drift = metrics.DRIFT.labels("likes")
        before = drift._value.get()

        async def found() -> bool:
            await recounts.walk()
            return bool(drift._value.get() >= before + 4)

        await until(found)
        await mesh.all_is_right()
        for _ in range(2):
            await recounts.walk()
        assert drift._value.get() == before + 4


class Rows:
    """Of likes the rows say what is true."""

    def members(self, _subject: Subject) -> None:
        return None
