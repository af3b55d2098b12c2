"""The social graph over its rpcs: a real graph imported, pages of followers from memory and from the store, a viewer's snapshot.

Beside each the same rows by the bare statements of the driver. Followers of the pages are ids without accounts.
"""

import gzip
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aviary.graph.v1 import graph_pb2
from aviary.graph.v1.graph_pb2 import FollowerShard, GetFollowerPageRequest, GetViewerSnapshotRequest

from bench.cpu import Meter
from bench.figures import Ceiling, Row, each_us
from bench.people import Silent
from bench.stage import NAMESPACE, Stage
from cql_client import Cql, Statement
from ops.seed.dataset import DATA, Account
from ops.seed.importer import import_accounts, import_follows
from runtime.context import Caller, acting
from runtime.ids import SystemClock, Uuid7Ids
from stack import cassandra as cassandra_server
from svc_graph.levels_cql import CqlLevels, LevelLimits
from svc_graph.stances import SETTLED_US
from svc_graph.store import SCHEMA

NAME = "The social graph"
PAGE = 1000
LARGE_PAGE = 10_000
FOLLOWERS = 20_000
FOLLOWS = 1000
AIM_KEPT_US = 1.0
AIM_STORE_US = 10.0
AIM_SNAPSHOT_MS = 3.0
_EDGES_A_BATCH = 25
_BATCHES = 40
_ADD = "INSERT INTO followers (followee_id, level, bucket, follower_id, follow_id) VALUES (?, 0, 0, ?, ?)"
_EDGE = (
    "INSERT INTO follow_edges (follower_id, followee_id, following, version, graph_version) VALUES (?, ?, true, ?, ?)"
)
_WHOLE = Statement(
    "SELECT follower_id FROM followers WHERE followee_id = ? AND level = 0 AND bucket = 0"
    f" AND follower_id > ? LIMIT {PAGE}"
)


async def run(stage: Stage) -> list[Row]:
    """Of the pages CPU, of the import and the snapshot time, one call after another: what one caller waits for."""
    cql = await Cql.connect(stage.config(NAMESPACE, "graph"), SCHEMA)
    try:
        return [await _import(stage, cql), *await _pages(stage, cql), *await _snapshots(stage, cql)]
    finally:
        await cql.close()


async def _import(stage: Stage, cql: Cql) -> Row:
    """Accounts of the graph are made before, and are no part of the time."""
    with gzip.open(DATA / "graph-socfb-reed98.tsv.gz", "rt") as lines:
        edges = [tuple(line.split()) for line in lines][: stage.sizes.follows]
    people = {one for edge in edges for one in edge}
    accounts = [Account(f"reed_{one}", f"Reed {one}", "", False) for one in sorted(people)]
    ids = await import_accounts(stage.mesh, accounts, Silent())
    pairs = [(ids[f"reed_{a}"], ids[f"reed_{b}"]) for a, b in edges]
    begun = time.perf_counter()
    made = await import_follows(stage.mesh, pairs, Silent())
    each_us = (time.perf_counter() - begun) * 1e6 / len(pairs)
    assert made == len(pairs), f"{made} of {len(pairs)} follows were made"
    bare = Ceiling("its six rows in logged batches of 25 follows, one at a time", await _bare_follows(cql))
    await stage.settle()
    return Row(NAME, f"Reed98, {len(pairs)} follows by ImportFollows: time of a follow", "us", each_us, bare)


async def _bare_follows(cql: Cql) -> float:
    """Microseconds of a follow whose rows, announcements included, are written and nothing else is done."""
    ids = Uuid7Ids(SystemClock())
    edge, add = cql.prepare(_EDGE), cql.prepare(_ADD)
    by_time = [
        cql.prepare("INSERT INTO following_by_time (follower_id, follow_id, followee_id) VALUES (?, ?, ?)"),
        cql.prepare("INSERT INTO followers_by_time (followee_id, follow_id, follower_id) VALUES (?, ?, ?)"),
    ]
    outbox = cql.prepare(
        "INSERT INTO outbox (shard, bucket, event_id, subject, payload, created_at) VALUES (-1, 0, ?, '', ?, 0)"
    )
    begun = time.perf_counter()
    for _ in range(_BATCHES):
        rows: list[tuple[Statement, tuple[Any, ...]]] = []
        for _ in range(_EDGES_A_BATCH):
            a, b, f = ids.next(), ids.next(), ids.next()
            rows += [(edge, (a, b, 1, 1)), (add, (b, a, f)), (by_time[0], (a, f, b)), (by_time[1], (b, f, a))]
            rows += [(outbox, (f.bytes, bytes(100))), (outbox, (a.bytes, bytes(100)))]
        await cql.logged_batch(rows)
    spent_us = (time.perf_counter() - begun) * 1e6
    await cql.execute(cql.prepare("DELETE FROM outbox WHERE shard = -1 AND bucket = 0"))
    return spent_us / (_BATCHES * _EDGES_A_BATCH)


async def _pages(stage: Stage, cql: Cql) -> list[Row]:
    """A large account, whose pages are kept, and a small one of as many followers, whose pages are always read."""
    ids, levels = Uuid7Ids(SystemClock()), CqlLevels(cql, LevelLimits())
    large, small = ids.next(), ids.next()
    for followee in (large, small):
        followers = [ids.next() for _ in range(FOLLOWERS)]
        await cql.write_rows(cql.prepare(_ADD), [(followee, one, one) for one in followers])
    await levels.mark(large, 1)
    await levels.open(large, 1, 1)
    found = []
    for size in (PAGE, LARGE_PAGE):
        walk, bare = partial(_page, stage, _asked(large, size)), partial(_shards, stage, large)
        what = f"pages of {size} followers from memory: CPU of an id, the rpc included"
        ceiling = "a call that reads nothing for each page"
        found.append(await _walks(stage, what, walk, bare, size, (ceiling, AIM_KEPT_US)))
    walk, bare = partial(_page, stage, _asked(small, PAGE)), partial(_rows, cql, _asked(small, PAGE))
    what = f"pages of {PAGE} followers from the store: CPU of an id, the rpc included"
    found.append(await _walks(stage, what, walk, bare, PAGE, ("the same rows by the statement alone", AIM_STORE_US)))
    return found


Walk = Callable[[], Awaitable[None]]
"""Goes on by a page, and from the end to the beginning."""


async def _walks(stage: Stage, what: str, ours: Walk, bare: Walk, size: int, held: tuple[str, float]) -> Row:
    """CPU of both ends and Cassandra, all that a page takes; the two take turns, so that whatever else Cassandra does hits both."""
    ceiling, aim = held
    meter = _servers(stage)
    spent: dict[str, float] = {}
    least = 0.0
    for turn in range(stage.sizes.page_turns + 1):
        used, least_used = await _walked(meter, ours, size), await _walked(meter, bare, size)
        if turn:
            spent = {name: spent.get(name, 0.0) + seconds for name, seconds in used.items()}
            least += sum(least_used.values())
    ids = FOLLOWERS * stage.sizes.page_turns
    each = each_us(spent, ids)
    return Row(NAME, what, "us", sum(each.values()), Ceiling(ceiling, least * 1e6 / ids), aim, each)


async def _walked(meter: Meter, page: Walk, size: int) -> dict[str, float]:
    """Seconds that all pages took, one after the other."""
    before, own = meter.cpu_s(), time.process_time()
    for _ in range(FOLLOWERS // size):
        await page()
    return {**meter.since(before), "client": time.process_time() - own}


def _servers(stage: Stage) -> Meter:
    pids = {name: stage.stack.process(name).pid for name in ("svc_graph", cassandra_server.NAME)}
    return Meter({name: pid for name, pid in pids.items() if pid is not None})


def _asked(followee: uuid.UUID, size: int) -> GetFollowerPageRequest:
    return GetFollowerPageRequest(user_id=followee.bytes, shard=FollowerShard(), limit=size)


async def _page(stage: Stage, request: GetFollowerPageRequest) -> None:
    """As fan-out walks: in the state that the first page named."""
    with acting(Caller()):
        page: graph_pb2.GetFollowerPageResponse = await stage.mesh.graph.GetFollowerPage(request)
    assert len(page.follower_ids) == request.limit * 16
    request.after, request.as_of = (page.follower_ids[-16:], page.as_of) if page.has_more else (b"", b"")


async def _shards(stage: Stage, followee: uuid.UUID) -> None:
    with acting(Caller()):
        await stage.mesh.graph.GetFollowerShards(graph_pb2.GetFollowerShardsRequest(user_id=followee.bytes))


async def _rows(cql: Cql, request: GetFollowerPageRequest) -> None:
    rows = await cql.execute(_WHOLE, (uuid.UUID(bytes=request.user_id), uuid.UUID(bytes=request.after or bytes(16))))
    request.after = rows[-1][0].bytes if len(rows) == PAGE else b""


async def _snapshots(stage: Stage, cql: Cql) -> list[Row]:
    """Loaded whole, by somebody who knows none: by the first in an hour, who has it read row by row, and by all others."""
    ids = Uuid7Ids(SystemClock())
    # So long ago that the state has a name.
    version = SystemClock().now_us() - 2 * SETTLED_US
    viewers = [ids.next() for _ in range(2 + stage.sizes.snapshots // 10)]
    for viewer in viewers:
        edges = [(viewer, ids.next(), version, version) for _ in range(FOLLOWS)]
        await cql.write_rows(cql.prepare(_EDGE), edges, timestamp_us=version)
    bare = cql.prepare("SELECT followee_id, following, graph_version FROM follow_edges WHERE follower_id = ?")
    row = cql.prepare(
        "SELECT DISTINCT follower_id, graph_version, blocked_version, snapshot FROM follow_edges WHERE follower_id = ?"
    )

    async def load(viewer: uuid.UUID) -> None:
        with acting(Caller()):
            answer = await stage.mesh.graph.GetViewerSnapshot(GetViewerSnapshotRequest(user_id=viewer.bytes))
        assert len(answer.followee_ids) == FOLLOWS * 16

    async def read(statement: Statement, viewer: uuid.UUID) -> None:
        await cql.execute(statement, (viewer,))

    await load(known := viewers.pop())
    first, least = await _median_ms(load, viewers), await _median_ms(partial(read, bare), viewers)
    again = [known] * stage.sizes.snapshots
    kept, least_kept = await _median_ms(load, again), await _median_ms(partial(read, row), again)
    what = f"a viewer's snapshot with {FOLLOWS} follows, by the rpc, median"
    return [
        Row(
            NAME,
            what,
            "ms",
            kept,
            Ceiling("its versions and the packed ids by one statement", least_kept),
            AIM_SNAPSHOT_MS,
        ),
        Row(
            NAME,
            f"{what}, the first in an hour",
            "ms",
            first,
            Ceiling("the rows of the follows by one statement", least),
        ),
    ]


async def _median_ms(ask: Callable[[uuid.UUID], Awaitable[None]], viewers: Sequence[uuid.UUID]) -> float:
    spent = []
    for viewer in viewers:
        begun = time.perf_counter()
        await ask(viewer)
        spent.append((time.perf_counter() - begun) * 1000)
    return statistics.median(spent[len(spent) // 5 :])
