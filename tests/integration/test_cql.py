"""The CQL session on a real server: what statements promise, what a schema is, and what a server that is away looks like."""

import asyncio
import dataclasses
import itertools
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import cassandra
import pytest
from cassandra import ConsistencyLevel
from cassandra.protocol import SyntaxException

from cql_client import Consistency, Cql, OutcomeUnknown, until_acknowledged
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from tests.proxy import Proxy, proxy_before
from tests.waiting import until

SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (name text PRIMARY KEY, owner text); -- unique names; not more
CREATE TABLE IF NOT EXISTS notes (user_id uuid, week int, note_id int, text text, PRIMARY KEY ((user_id, week), note_id));
"""
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schema")
    (folder / "0001_claims.cql").write_text(SCHEMA, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
async def cql(mesh_config: MeshConfig, schema: Path) -> AsyncIterator[Cql]:
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="cqltest"), schema)
    yield opened
    await opened.close()


@pytest.fixture
async def far(mesh_config: MeshConfig, schema: Path) -> AsyncIterator[tuple[Cql, Proxy]]:
    """A session over a network that can break."""
    async with proxy_before(mesh_config.cql_contact_points[0][1]) as proxy:
        config = dataclasses.replace(mesh_config, cql_contact_points=(("127.0.0.1", proxy.port),))
        opened = await Cql.connect(dataclasses.replace(config, area="cqltest"), schema)
        yield opened, proxy
        await opened.close()


async def test_a_conditional_insert_is_applied_once_and_then_names_what_stands(cql: Cql) -> None:
    claim = cql.prepare("INSERT INTO claims (name, owner) VALUES (?, ?) IF NOT EXISTS")
    name = uuid.uuid4().hex
    answers = await asyncio.gather(*(cql.apply_lwt(claim, (name, str(i))) for i in range(10)))
    winners = [i for i, answer in enumerate(answers) if answer.applied]
    assert len(winners) == 1
    assert all(a.row == {"name": name, "owner": str(winners[0])} for a in answers if not a.applied)
    assert answers[winners[0]].row is None
    assert await cql.read_serial(cql.prepare("SELECT owner FROM claims WHERE name = ?"), (name,)) == [
        (str(winners[0]),)
    ]


async def test_a_condition_on_a_row_that_is_absent_is_not_applied(cql: Cql) -> None:
    update = cql.prepare("UPDATE claims SET owner = ? WHERE name = ? IF owner = ?")
    answer = await cql.apply_lwt(update, ("b", uuid.uuid4().hex, "a"))
    assert not answer.applied


async def test_a_batch_is_written_with_its_timestamp_so_that_an_older_write_loses(cql: Cql) -> None:
    insert = cql.prepare("INSERT INTO claims (name, owner) VALUES (?, ?)")
    name = uuid.uuid4().hex
    await cql.logged_batch([(insert, (name, "new"))], timestamp_us=2_000)
    await cql.logged_batch([(insert, (name, "old"))], timestamp_us=1_000)
    written = cql.prepare("SELECT owner, WRITETIME(owner) FROM claims WHERE name = ?")
    assert await cql.execute(written, (name,)) == [("new", 2_000)]
    await cql.execute(insert, (name, "now"))
    ((owner, at),) = await cql.execute(written, (name,))
    assert owner == "now" and at > 1_000_000


async def test_rows_are_written_in_batches_and_read_back_whole(cql: Cql) -> None:
    """Neither page nor batch cuts a list; equal and absent values are kept apart."""
    user, text = uuid.uuid4(), "the same"
    insert = cql.prepare("INSERT INTO notes (user_id, week, note_id, text) VALUES (?, ?, ?, ?)")
    rows = [(user, 7, n, text if n % 3 else None) for n in range(5_500)]
    await cql.write_rows(insert, rows)
    select = cql.prepare("SELECT user_id, week, note_id, text FROM notes WHERE user_id = ? AND week = ?")
    assert await cql.execute(select, (user, 7)) == rows
    delete = cql.prepare("DELETE FROM notes WHERE user_id = ? AND week = ? AND note_id = ?")
    await cql.write_rows(delete, [row[:3] for row in rows[1:]])
    assert await cql.execute(select, (user, 7)) == rows[:1]


async def test_scattered_rows_reach_their_partitions(cql: Cql) -> None:
    insert = cql.prepare("INSERT INTO claims (name, owner) VALUES (?, ?)")
    names = [os.urandom(8).hex() for _ in range(250)]
    await cql.write_rows(insert, ((name, name[:4]) for name in names))
    found = await cql.execute(cql.prepare("SELECT name, owner FROM claims WHERE name IN ?"), (names,))
    assert dict(found) == {name: name[:4] for name in names}
    await cql.write_rows(insert, [])


async def test_mistakes_stay_mistakes(cql: Cql) -> None:
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        await cql.write_rows(cql.prepare("INSERT INTO claims (name, owner) VALUES (?, ?)"), [("a",)])
    with pytest.raises(cassandra.InvalidRequest):
        await cql.execute(cql.prepare("SELECT nothing FROM nowhere"))
    with pytest.raises(SyntaxException):
        await cql.execute(cql.prepare("SELEKT"))


async def test_processes_that_start_at_once_make_one_schema(mesh_config: MeshConfig, tmp_path: Path) -> None:
    area = f"cqlat{next(NUMBERS)}"
    (tmp_path / "0001_claims.cql").write_text(SCHEMA, encoding="utf-8")
    # Not repeatable: two that apply it at once would not both succeed.
    (tmp_path / "0002_colour.cql").write_text("CREATE TABLE colours (colour text PRIMARY KEY);", encoding="utf-8")
    opened = await asyncio.gather(
        *(Cql.connect(dataclasses.replace(mesh_config, area=area), tmp_path) for _ in range(4))
    )
    for one in opened:
        assert await one.execute(one.prepare("SELECT colour FROM colours")) == []
    versions = await opened[0].execute(
        opened[0].prepare("SELECT version, name FROM schema_versions WHERE version IN (1, 2)")
    )
    assert sorted(versions) == [(1, "0001_claims.cql"), (2, "0002_colour.cql")]
    for one in opened:
        await one.close()


async def test_a_node_that_has_not_met_as_many_as_rows_are_kept_on_makes_no_schema(
    mesh_config: MeshConfig, schema: Path
) -> None:
    """Nodes of a cluster that just started take clients before they know of each other: each would make tables with ids of its own."""
    config = dataclasses.replace(mesh_config, area=f"island{next(NUMBERS)}", cql_replication=3)
    with pytest.raises(Unavailable) as refused:
        await Cql.connect(config, schema, patience_s=0)
    assert str(refused.value.__cause__) == "1 of the 3 nodes that rows are kept on have met"
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="cqltest"), schema)
    made = opened.prepare("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?")
    assert await opened.execute(made, (f"{config.namespace}_{config.area}".lower(),)) == []
    await opened.close()


async def test_a_newer_schema_is_applied_once_on_top(mesh_config: MeshConfig, tmp_path: Path) -> None:
    area = f"cqlat{next(NUMBERS)}"
    (tmp_path / "0001_claims.cql").write_text(SCHEMA, encoding="utf-8")
    await (await Cql.connect(dataclasses.replace(mesh_config, area=area), tmp_path)).close()
    # Not repeatable: applied a second time it would fail.
    (tmp_path / "0002_colour.cql").write_text("CREATE TABLE colours (colour text PRIMARY KEY);", encoding="utf-8")
    for _ in range(2):
        opened = await Cql.connect(dataclasses.replace(mesh_config, area=area), tmp_path)
        assert await opened.execute(opened.prepare("SELECT colour FROM colours")) == []
        await opened.close()


async def test_columns_that_a_crash_left_added_are_not_added_again(mesh_config: MeshConfig, tmp_path: Path) -> None:
    """ScyllaDB has no ADD IF NOT EXISTS, so a file that was cut off is gone on with by leaving out what is there."""
    config = dataclasses.replace(mesh_config, area=f"cqlat{next(NUMBERS)}")
    (tmp_path / "0001_claims.cql").write_text(SCHEMA, encoding="utf-8")
    added = "ALTER TABLE claims ADD colour text; ALTER TABLE notes ADD (size int, weight frozen<list<int>>);"
    (tmp_path / "0002_more.cql").write_text(f"{added} SELEKT;", encoding="utf-8")
    with pytest.raises(SyntaxException):
        await Cql.connect(config, tmp_path)
    (tmp_path / "0002_more.cql").write_text(f"{added} ALTER TABLE claims ADD shape text;", encoding="utf-8")
    opened = await Cql.connect(config, tmp_path)
    assert await opened.execute(opened.prepare("SELECT colour, shape FROM claims")) == []
    assert await opened.execute(opened.prepare("SELECT size, weight FROM notes")) == []
    await opened.close()


async def test_a_gap_in_the_schema_files_is_refused(mesh_config: MeshConfig, tmp_path: Path) -> None:
    (tmp_path / "0002_claims.cql").write_text(SCHEMA, encoding="utf-8")
    with pytest.raises(ValueError, match="without a gap"):
        await Cql.connect(dataclasses.replace(mesh_config, area="cqlgap"), tmp_path)


async def test_a_server_that_does_not_come_up_is_unavailable_after_the_patience(
    mesh_config: MeshConfig, schema: Path
) -> None:
    async with proxy_before(1) as proxy:
        await proxy.cut()
        config = dataclasses.replace(mesh_config, cql_contact_points=(("127.0.0.1", proxy.port),))
        with pytest.raises(Unavailable, match="no CQL server answers at"):
            await Cql.connect(dataclasses.replace(config, area="cqltest"), schema, patience_s=0.1)


async def test_a_process_that_starts_before_its_server_waits_for_it(mesh_config: MeshConfig, schema: Path) -> None:
    async with proxy_before(mesh_config.cql_contact_points[0][1]) as proxy:
        await proxy.cut()
        config = dataclasses.replace(mesh_config, cql_contact_points=(("127.0.0.1", proxy.port),))
        connecting = asyncio.create_task(Cql.connect(dataclasses.replace(config, area="cqltest"), schema))
        await asyncio.sleep(0)
        await proxy.mend()
        opened = await connecting
        await opened.ping()
        await opened.close()


async def test_a_server_that_goes_away_is_unavailable_and_comes_back_by_itself(far: tuple[Cql, Proxy]) -> None:
    cql, proxy = far
    insert = cql.prepare("INSERT INTO claims (name, owner) VALUES (?, ?)")
    await cql.execute(insert, ("a", "b"))
    await proxy.cut()
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await cql.ping()
        with pytest.raises(OutcomeUnknown):
            await cql.execute(insert, ("a", "b"))
        with pytest.raises(OutcomeUnknown):
            await cql.logged_batch([(insert, ("a", "b"))])
        with pytest.raises(OutcomeUnknown):
            await cql.write_rows(insert, [("a", "b")])
        with pytest.raises(Unavailable):
            await until_acknowledged(lambda: cql.execute(insert, ("a", "b")), 0.3)
    await proxy.mend()
    await until_acknowledged(lambda: cql.execute(insert, ("a", "b")), 30)
    await cql.ping()


async def test_who_asks_over_a_connection_that_broke_while_idle_stops_no_others(far: tuple[Cql, Proxy]) -> None:
    """The driver waits 2 s for a connection of its pool to be replaced, on the thread of who asks: here that of the loop."""
    cql, proxy = far
    await cql.ping()
    pools = cql._opened.session.get_pools()
    await proxy.cut()
    await until(lambda: not any(pool.open_count for pool in pools))
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        await cql.ping()
    assert time.monotonic() - begun < 1
    await proxy.mend()
    await until_acknowledged(cql.ping, 30)


async def test_a_network_that_swallows_everything_ends_reads_and_writes_in_bounded_time(far: tuple[Cql, Proxy]) -> None:
    cql, proxy = far
    insert = cql.prepare("INSERT INTO claims (name, owner) VALUES (?, ?)")
    await cql.execute(insert, ("a", "b"))
    await cql.ping()
    proxy.freeze()
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable) as read:
            await cql.ping()
        assert not isinstance(read.value, OutcomeUnknown)
        with pytest.raises(OutcomeUnknown):
            await cql.execute(insert, ("a", "b"))
    await proxy.mend()
    await until_acknowledged(lambda: cql.execute(insert, ("a", "b")), 30)


async def test_no_request_waits_for_the_receipt_of_the_one_before(mesh_config: MeshConfig, schema: Path) -> None:
    """With Nagle's algorithm a request that follows one that is being written leaves when the server's delayed receipt comes: 40 ms."""
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="cqltest"), schema)
    connections = [one for holder in cql._opened.cluster.get_connection_holders() for one in holder.get_connections()]
    assert len(connections) > 1, "the one that controls, and those that ask"
    for connection in connections:
        assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await cql.close()


async def test_a_statement_asks_as_many_replicas_as_it_says_and_a_quorum_otherwise(cql: Cql) -> None:
    asked: list[int] = []
    session = cql._opened.session
    session.add_request_init_listener(note := lambda future: asked.append(future.message.consistency_level))
    read = "SELECT owner FROM claims WHERE name = ?"
    for statement in (cql.prepare(read), cql.prepare(read, Consistency.ONE), cql.prepare(read, Consistency.ALL)):
        await cql.execute(statement, ("nobody",))
    session.remove_request_init_listener(note)
    assert asked == [ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_ONE, ConsistencyLevel.ALL]
