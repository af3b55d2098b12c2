"""The one way in which follows are changed: read, decide, store with the announcement, publish; what a change is, is in domain.py."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace

from readers.recent import FOLLOW, GRAPH_VERSION, KEPT_S, OwnFollow
from svc_graph.deps import Deps
from svc_graph.domain import Change, Edge, Pair, changed_together
from svc_graph.events import announcements

EDGES_A_BATCH = 25
"""At about 1,000 bytes for all rows of an edge a batch stays far below the 128 KiB at which servers begin to warn."""


async def set_edges(pairs: Sequence[Pair], following: bool, deps: Deps) -> int:
    """Bring the pairs into the state and return how many were not in it; the others are left alone and not announced.

    The followers' own reads see the state from the return on: after a retry, too, whose first try was stored but not answered.
    """
    _, changes, newest = await _set(pairs, following, deps)
    await deps.outbox.publish_soon(*announcements(changes))
    await _show_to_followers(newest, deps)
    deps.faults.at("graph.follow.before_answer")
    return len(changes)


async def set_own_edge(pair: Pair, following: bool, deps: Deps) -> None:
    """As set_edges, for a change that the follower makes: the counts that the follower sees have it from the return on, too."""
    [edge], changes, newest = await _set([pair], following, deps)
    changes = changes or _lately_changed(edge, deps)
    places = await deps.outbox.publish_soon(*announcements(changes))
    async with asyncio.TaskGroup() as records:
        records.create_task(_show_to_followers(newest, deps))
        for change in changes:
            in_own, in_other = places
            own = OwnFollow(pair.followee_id.bytes, 1 if following else -1, in_own, in_other, change.after.version)
            records.create_task(deps.recent.record(pair.follower_id.bytes, FOLLOW, own.packed()))
    deps.faults.at("graph.follow.before_answer")


def _lately_changed(edge: Edge, deps: Deps) -> list[Change]:
    """The change that brought an edge into its state, while own reads may miss it.

    A first try may have died before it published: nobody counts the change before that, and a relay takes its time. Published
    again under the same ids it is counted once, and the places are those of the first.
    """
    young = edge.version > deps.clock.now_us() - KEPT_S * 1_000_000
    return [Change(replace(edge, following=not edge.following), edge)] if edge.version and young else []


async def _set(
    pairs: Sequence[Pair], following: bool, deps: Deps
) -> tuple[list[Edge], list[Change], dict[uuid.UUID, int]]:
    """Store what is to be changed; the edges before, what changed, and each follower's newest version."""
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
    return edges, changes, newest


async def _read(pairs: Sequence[Pair], deps: Deps) -> tuple[list[Edge], dict[uuid.UUID, int]]:
    async with asyncio.TaskGroup() as reads:
        edges = reads.create_task(deps.store.edges(pairs))
        newest = reads.create_task(deps.store.versions({pair.follower_id for pair in pairs}))
    return edges.result(), newest.result()


async def _store(changes: list[Change], deps: Deps) -> list[Change]:
    deps.faults.at("graph.follow.before_batch")
    await deps.store.apply(changes, announce=announcements(changes))
    deps.faults.at("graph.follow.after_batch")
    return changes


async def _show_to_followers(newest: dict[uuid.UUID, int], deps: Deps) -> None:
    async with asyncio.TaskGroup() as records:
        for follower_id, version in newest.items():
            records.create_task(deps.recent.record(follower_id.bytes, GRAPH_VERSION, version.to_bytes(8)))
