"""Several reads of one snapshot at once, which arrive in another order than they were asked in."""

import asyncio
from typing import Any, cast

from aviary.graph.v1.events_pb2 import RELATION_BLOCK, RelationChange, RelationSignal
from aviary.graph.v1.graph_pb2 import CompareSnapshotsResponse, GetViewerSnapshotResponse, KnownSnapshot

from relations.viewers import Relations
from tests.monotonic import Monotonic

ALICE, BOB = b"a" * 16, b"b" * 16


class Graph:
    """svc_graph, whose answers come when they are given."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Any]] = []
        self.arrived = asyncio.Semaphore(0)

    async def GetViewerSnapshot(self, request: Any) -> Any:
        self.asked.append(asyncio.get_running_loop().create_future())
        self.arrived.release()
        return await self.asked[-1]

    CompareSnapshots = GetViewerSnapshot


async def test_what_is_told_stays_hidden_when_a_read_of_before_says_that_nothing_changed() -> None:
    """P47"""
    graph, clock = Graph(), Monotonic()
    relations = Relations(cast(Any, graph), cast(Any, None), clock)
    reads = []

    async def ask() -> None:
        reads.append(asyncio.ensure_future(relations.get(ALICE, fresh=True)))
        await graph.arrived.acquire()
        clock.advance(0.01)

    known = GetViewerSnapshotResponse(state=b"1", version=1)
    await ask()
    await ask()
    graph.asked[0].set_result(known)
    await reads[0]
    await ask()
    graph.asked[1].set_result(known)
    await reads[1]
    block = RelationChange(user_id=BOB, other_id=ALICE, relation=RELATION_BLOCK, set=True, version=2)
    await relations.heard(RelationSignal(publisher_id=b"p" * 16, sequence=1, changes=[block]))
    graph.asked[2].set_result(CompareSnapshotsResponse(unchanged=[KnownSnapshot(user_id=ALICE, state=b"1")]))
    assert BOB in (await reads[2]).apart
