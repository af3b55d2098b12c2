"""Storing a delivery for every follower of a chunk, beside bare unlogged batches of the driver; client and Cassandra together."""

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.concurrent import execute_concurrent
from cassandra.query import BatchStatement, BatchType

from bench.figures import Ceiling, Row
from bench.stage import NAMESPACE, Stage
from cql_client import Cql
from cql_client.connect import WRITE, Opened, open_session
from runtime.ids import WEEK_MS, SystemClock, Uuid7Ids, ms_of
from stack import cassandra as cassandra_server
from svc_timeline import store
from svc_timeline.config import Limits
from svc_timeline.domain import Entry

NAME = "Fan-out"
WHAT = "stored row alone: CPU a delivery"
_BARE = "the same rows by the bare driver, in prepared unlogged batches of 100, 8 at once"
_SCHEMA = Path(store.__file__).parent / "schema"
_INSERT = (
    "INSERT INTO home (user_id, week, entry_id, author_id, flags) VALUES (?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?"
)
_ROWS_A_BATCH = 100
_BATCHES_AT_ONCE = 8


async def run(stage: Stage) -> list[Row]:
    """CPU of one stored row. The two take turns, so that whatever else Cassandra does hits both."""
    limits, clock = Limits(), SystemClock()
    opened = await asyncio.to_thread(open_session, stage.config(f"{NAMESPACE}_rows"), _SCHEMA, 60)
    cql = Cql(opened)
    ours = store.CqlHomeStore(cql, clock, limits.stored_ttl_s)
    insert = opened.session.prepare(_INSERT)
    ids = Uuid7Ids(clock)
    users = [ids.next().bytes for _ in range(limits.rows_at_once)]
    meter = stage.server_meter(cassandra_server.NAME)
    spent: dict[str, float] = {}
    bare_s = 0.0
    warm_rounds = max(1, stage.sizes.row_rounds // 4)
    for number in range(warm_rounds + stage.sizes.row_rounds):
        before, own = meter.cpu_s(), time.process_time()
        for _ in range(stage.sizes.rows_a_round):
            await ours.add(users, [Entry(ids.next().bytes, users[0])])
        used = {**meter.since(before), "client": time.process_time() - own}
        before, own = meter.cpu_s(), time.process_time()
        for _ in range(stage.sizes.rows_a_round):
            _bare_rows(opened, insert, users, Entry(ids.next().bytes, users[0]), limits.stored_ttl_s)
        bare_used = sum(meter.since(before).values()) + time.process_time() - own
        if number >= warm_rounds:
            spent = {name: spent.get(name, 0.0) + seconds for name, seconds in used.items()}
            bare_s += bare_used
    await cql.close()
    rows = stage.sizes.row_rounds * stage.sizes.rows_a_round * len(users)
    each = {name: seconds * 1e6 / rows for name, seconds in spent.items()}
    return [Row(NAME, WHAT, "us", sum(each.values()), Ceiling(_BARE, bare_s * 1e6 / rows), parts=each)]


def _bare_rows(opened: Opened, insert: Any, users: list[bytes], entry: Entry, ttl_s: int) -> None:
    entry_id, author_id = uuid.UUID(bytes=entry.entry_id), uuid.UUID(bytes=entry.author_id)
    created_ms = ms_of(entry.entry_id)
    batches = []
    for first in range(0, len(users), _ROWS_A_BATCH):
        batch = BatchStatement(BatchType.UNLOGGED, consistency_level=ConsistencyLevel.LOCAL_QUORUM)
        for user in users[first : first + _ROWS_A_BATCH]:
            row = (uuid.UUID(bytes=user), created_ms // WEEK_MS, entry_id, author_id, 0, ttl_s, created_ms * 1000)
            batch.add(insert, row)
        batches.append((batch, None))
    execute_concurrent(opened.session, batches, concurrency=_BATCHES_AT_ONCE, execution_profile=WRITE)
