"""Three nodes of Cassandra and of NATS: a schema made by many at once is one, and what was acknowledged survives the kill of a node."""

import asyncio
import dataclasses
import os
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import WhiteListRoundRobinPolicy

from cql_client import Cql, until_acknowledged
from runtime.bus import Consumers, NatsBus, consumes
from runtime.config import Env, MeshConfig
from runtime.errors import Unavailable
from stack import LocalStack
from tests.conftest import TEST_SECRETS
from tests.waiting import until

SCHEMA = "CREATE TABLE IF NOT EXISTS notes (id uuid PRIMARY KEY, text text) WITH speculative_retry = '50ms'"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Clusters of our own, because their nodes are killed here."""
    stack = LocalStack(tmp_path_factory.mktemp("clusters"), respect_environment=False, count=3)
    with stack:
        yield stack
        # Nothing is kept: they need not write it down.
        for name in stack.children:
            stack.kill(name)


@pytest.fixture
def config(stack: LocalStack) -> MeshConfig:
    assert stack.ports is not None
    values = {**stack.ports.addresses(3).environment(), **TEST_SECRETS, "AVIARY_NAMESPACE": f"c{uuid.uuid4().hex[:8]}"}
    env = Env({**values, "AVIARY_TEST_PORT": "0", "AVIARY_TEST_METRICS_PORT": "0"})
    config = MeshConfig.read("test", env)
    env.done()
    return config


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    (tmp_path / "0001_notes.cql").write_text(SCHEMA, encoding="utf-8")
    # Not repeatable: two that apply it at once would not both succeed.
    (tmp_path / "0002_colour.cql").write_text("CREATE TABLE colours (colour text PRIMARY KEY)", encoding="utf-8")
    return tmp_path


def tables(config: MeshConfig, point: tuple[str, int]) -> dict[str, uuid.UUID]:
    """The ids of the tables of the process, as one node has them."""
    host, port = point
    only = WhiteListRoundRobinPolicy([host])
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(only)}
    with Cluster([host], port=port, protocol_version=4, execution_profiles=profiles) as cluster:
        query = "SELECT table_name, id FROM system_schema.tables WHERE keyspace_name = %s"
        return dict(cluster.connect().execute(query, (f"{config.namespace}_test",)))


async def test_processes_that_start_at_once_on_three_nodes_make_one_schema(config: MeshConfig, schema: Path) -> None:
    """Each begins at another node; one makes the keyspace and its tables, and all nodes have the same ones."""
    points = config.cql_contact_points
    turned = [dataclasses.replace(config, cql_contact_points=points[n:] + points[:n]) for n in (0, 1, 2, 0, 1, 2)]
    opened = await asyncio.gather(*(Cql.connect(own, schema) for own in turned))
    for own in opened:
        assert await own.execute(own.prepare("SELECT colour FROM colours")) == []
        await own.close()
    first, *others = [await asyncio.to_thread(tables, config, point) for point in points]
    assert first.keys() == {"schema_versions", "notes", "colours"}
    assert all(other == first for other in others)


async def test_a_schema_is_not_changed_while_a_node_is_down_and_one_that_is_complete_needs_no_more_than_two(
    stack: LocalStack, config: MeshConfig, schema: Path
) -> None:
    """What was acknowledged at quorum is there without any one node, and what is written meanwhile too."""
    cql = await Cql.connect(config, schema)
    insert = cql.prepare("INSERT INTO notes (id, text) VALUES (?, ?)")
    acknowledged: list[uuid.UUID] = []
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            note = uuid.uuid4()
            await until_acknowledged(partial(cql.execute, insert, (note, "x")), PATIENCE_S)
            acknowledged.append(note)

    async with asyncio.TaskGroup() as writers:
        for _ in range(4):
            writers.create_task(write())
        await until(lambda: len(acknowledged) > 200)
        # The first contact point, so that the session has to find its way without it.
        await asyncio.to_thread(stack.kill, "cassandra-1")
        killed_at = len(acknowledged)
        await until(lambda: len(acknowledged) > killed_at + 400)
        stop.set()
    # One by one: 600 partitions in one question are more than a cluster without one of its nodes must answer in time.
    read = cql.prepare("SELECT id FROM notes WHERE id = ?")
    for note in acknowledged:
        assert await until_acknowledged(partial(cql.execute, read, (note,)), PATIENCE_S) == [(note,)]
    await cql.close()
    await (await Cql.connect(config, schema)).close()
    (schema / "0003_size.cql").write_text("ALTER TABLE notes ADD size int", encoding="utf-8")
    with pytest.raises(Unavailable):
        await Cql.connect(config, schema, patience_s=0)


@consumes(TweetCreated, durable="listener", backoff_s=0.01)
async def listener(event: TweetCreated, seen: list[bytes]) -> None:
    """Notes what it was given."""
    seen.append(event.event_id)


async def test_a_stream_of_three_replicas_loses_and_doubles_nothing_when_its_leader_is_killed(
    stack: LocalStack, config: MeshConfig
) -> None:
    """Publishing goes on by itself, and so does the consumer; repetitions of what was not acknowledged are dropped by their id."""
    bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated])
    seen: list[bytes] = []
    consuming = asyncio.create_task(Consumers(bus, [listener], seen).run())
    published: list[bytes] = []
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            event = TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))
            await until_acknowledged(partial(bus.publish, event), PATIENCE_S)
            published.append(event.event_id)

    stream = f"{config.namespace}_tweets"
    async with asyncio.TaskGroup() as publishers:
        for _ in range(4):
            publishers.create_task(publish())
        await until(lambda: len(published) > 200)
        cluster = (await bus._js.stream_info(stream)).cluster
        assert cluster is not None and cluster.leader is not None
        await asyncio.to_thread(stack.kill, cluster.leader.replace("aviary-local", "nats"))
        killed_at = len(published)
        await until(lambda: len(published) > killed_at + 400)
        stop.set()
    await until(lambda: set(seen) == set(published))
    info = await bus._js.stream_info(stream)
    assert info.state.messages == len(published)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    await bus.close()
