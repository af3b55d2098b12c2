"""Snapshots of viewers and the names of their states, asked for as caches do."""

import uuid
from dataclasses import replace
from typing import Any

from aviary.graph.v1.graph_pb2 import (
    CompareSnapshotsRequest,
    GetViewerSnapshotRequest,
    GetViewerSnapshotResponse,
    KnownSnapshot,
)

from runtime.context import Caller, acting
from svc_graph.deps import Deps
from svc_graph.stances import SETTLED_US
from tests.unit.svc_graph.graph import Graph


async def snapshot(graph: Graph, viewer: uuid.UUID) -> GetViewerSnapshotResponse:
    """As it is now."""
    with acting(Caller(service="edge")):
        request = GetViewerSnapshotRequest(user_id=viewer.bytes)
        answer: GetViewerSnapshotResponse = await graph.stub.GetViewerSnapshot(request)
        return answer


async def unchanged(graph: Graph, viewer: uuid.UUID, state: bytes) -> bool:
    """Whether a state is still so."""
    with acting(Caller(service="edge")):
        request = CompareSnapshotsRequest(known=[KnownSnapshot(user_id=viewer.bytes, state=state)])
        return list((await graph.stub.CompareSnapshots(request)).unchanged) == list(request.known)


class Counted:
    """A store that notes what it is asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._store, name)


def counting(graph: Graph) -> tuple[Deps, list[str]]:
    """The service's own, and what its store is asked."""
    store: Any = Counted(graph.store)
    return replace(graph.deps, store=store), store.asked


def wait(graph: Graph) -> None:
    """Until what was changed is settled, so that its state has a name."""
    graph.clock.us += SETTLED_US
