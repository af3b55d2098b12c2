"""The one way in which follows are changed: read, decide, store with the announcement, publish; what a change is, is in domain.py."""

import asyncio
import uuid
from collections.abc import Sequence

from readers.recent import GRAPH_VERSION
from svc_graph.deps import Deps
from svc_graph.domain import Change, Edge, Pair, changed_together
from svc_graph.events import follow_set

EDGES_A_BATCH = 25
"""At about 600 bytes for all rows of an edge a batch stays far below the 128 KiB at which servers begin to warn."""


async def set_edges(pairs: Sequence[Pair], following: bool, deps: Deps) -> int:
    """Bring the pairs into the state and return how many were not in it; the others are left alone and not announced.

    The followers' own reads see the state from the return on: after a retry, too, whose first try was stored but not answered.
    """
    async with deps.turns.of(pair.follower_id for pair in pairs):
        edges, newest = await _read(pairs, deps)
        changes: list[Change] = []
        # One batch after another: a follower's versions rise in the order in which they are stored, so that a snapshot
        # that holds one version holds every earlier change.
        different = [edge for edge in edges if edge.following != following]
        for start in range(0, len(different), EDGES_A_BATCH):
            batch = different[start : start + EDGES_A_BATCH]
            least = max(deps.clock.now_us(), *(newest[edge.pair.follower_id] + 1 for edge in batch))
            changes += await _store(changed_together(batch, following, least), deps)
            newest |= {edge.pair.follower_id: changes[-1].after.version for edge in batch}
    await deps.outbox.publish_soon(*(follow_set(change.after) for change in changes))
    await _show_to_followers(newest, deps)
    deps.faults.at("graph.follow.before_answer")
    return len(changes)


async def _read(pairs: Sequence[Pair], deps: Deps) -> tuple[list[Edge], dict[uuid.UUID, int]]:
    async with asyncio.TaskGroup() as reads:
        edges = reads.create_task(deps.store.edges(pairs))
        newest = reads.create_task(deps.store.versions({pair.follower_id for pair in pairs}))
    return edges.result(), newest.result()


async def _store(changes: list[Change], deps: Deps) -> list[Change]:
    deps.faults.at("graph.follow.before_batch")
    await deps.store.apply(changes, announce=[follow_set(change.after) for change in changes])
    deps.faults.at("graph.follow.after_batch")
    return changes


async def _show_to_followers(newest: dict[uuid.UUID, int], deps: Deps) -> None:
    async with asyncio.TaskGroup() as records:
        for follower_id, version in newest.items():
            records.create_task(deps.recent.record(follower_id.bytes, GRAPH_VERSION, version.to_bytes(8)))
