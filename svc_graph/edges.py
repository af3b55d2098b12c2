"""How follows are changed: read, decide, store with the announcement, publish, tell; what a change is, is in domain.py."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from readers.recent import FOLLOW, KEPT_S, OwnFollow, OwnWrite
from svc_graph.deps import Deps
from svc_graph.domain import Change, Edge, Pair, changed_together, ended_by_block
from svc_graph.events import announcements, block_set
from svc_graph.hidden import blocked_either_way
from svc_graph.stances import BLOCK, LATE_US, Stance
from svc_graph.telling import follow_change, newest_of, settled, show_own, stance_change, tell

EDGES_A_BATCH = 25
"""At about 1,000 bytes for all rows of an edge a batch stays far below the 128 KiB at which servers begin to warn."""

NOTHING: Mapping[uuid.UUID, int] = MappingProxyType({})
Check = Callable[[Mapping[uuid.UUID, int]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Written:
    """What was stored: the edges as they are now, the changes among them, and each follower's newest version."""

    edges: Sequence[Edge]
    changes: Sequence[Change]
    versions: dict[uuid.UUID, int]


async def set_edges(pairs: Sequence[Pair], following: bool, deps: Deps) -> int:
    """Bring the pairs into the state and return how many were not in it; the others are left alone and not announced.

    The followers' own reads see the state from the return on: after a retry, too, whose first try was stored but not answered.
    """
    async with deps.turns.of(pair.follower_id for pair in pairs):
        written = await write_edges(pairs, following, deps)
    await deps.outbox.publish_soon(*announcements(written.changes))
    await asyncio.gather(
        show_own(written.versions, deps), tell([follow_change(change.after) for change in written.changes], deps)
    )
    deps.faults.at("graph.follow.before_answer")
    return len(written.changes)


async def unfollow(pair: Pair, deps: Deps) -> None:
    """End a follow, as its follower wants: counts that the follower sees are without it from the return on, too."""
    with deps.signals.doubted_unless_told():
        async with deps.turns.of([pair.follower_id]):
            written = await write_edges([pair], False, deps)
        await make_known([written], deps)
    deps.faults.at("graph.follow.before_answer")


async def write_edges(pairs: Sequence[Pair], following: bool, deps: Deps, check: Check | None = None) -> Written:
    """Store what is to be changed, unless `check`, which is given the followers' versions, refuses. The caller has the followers' turns."""
    edges, newest = await _read(pairs, deps)
    changes: list[Change] = []
    # One batch after another: a follower's versions rise in the order in which they are stored, so that a snapshot
    # that holds one version holds every earlier change.
    different = [edge for edge in edges if edge.following != following]
    if different and check is not None:
        await check(newest)
    for start in range(0, len(different), EDGES_A_BATCH):
        batch = different[start : start + EDGES_A_BATCH]
        least = max(deps.clock.now_us(), *(newest[edge.pair.follower_id] + 1 for edge in batch))
        changes += await _store(changed_together(batch, following, least), deps)
        newest |= {edge.pair.follower_id: changes[-1].after.version for edge in batch}
    # What stands already may be a first try's, which nobody answered: then nobody raised a version for it either.
    latest = deps.clock.now_us() - LATE_US
    repeated = {e.pair.follower_id: e.version for e in edges if e.following == following and e.version > latest}
    return await _written(edges, changes, newest, deps, repeated)


async def end_void(one: uuid.UUID, other: uuid.UUID, deps: Deps) -> Written:
    """End the follows between two accounts, both ways, if a block stands between them. The caller has the turns of both.

    First the follows are read, then the blocks: what is ended stood when the block did. The end is the very next version of that
    state. So whoever ends it writes the same, and a follow that was set after the block had ended is never touched, however
    late this is done.
    """
    edges, newest = await _read([Pair(one, other), Pair(other, one)], deps)
    changes: list[Change] = []
    if any(edge.following for edge in edges) and await blocked_either_way(one, [other], deps):
        changes = [Change(edge, ended_by_block(edge)) for edge in edges if edge.following]
    for change in changes:
        await _store([change], deps)
        newest[change.after.pair.follower_id] = change.after.version
    return await _written(edges, changes, newest, deps)


async def make_known(
    written: Sequence[Written],
    deps: Deps,
    stance: Stance | None = None,
    versions: Mapping[uuid.UUID, int] = NOTHING,
) -> None:
    """Publish what was stored, follows and a stance; show it to the accounts' own reads, up to their `versions`, and to all caches.

    What a first try stored is shown, too.
    """
    changes = [change for one in written for change in one.changes or _lately_changed(one.edges, deps)]
    places = await deps.outbox.publish_soon(*announcements(changes))
    if stance is not None and stance.relation == BLOCK:
        await deps.outbox.publish_soon(block_set(stance))
    states = {edge.pair: edge for one in written for edge in one.edges}
    told = [follow_change(edge) for edge in states.values() if edge.version]
    told += [] if stance is None else [stance_change(stance)]
    follows = [_own(change.after, *at) for change, *at in zip(changes, places[::2], places[1::2], strict=True)]
    async with asyncio.TaskGroup() as records:
        records.create_task(show_own(newest_of(versions, *(one.versions for one in written)), deps, follows))
        records.create_task(tell(told, deps))


def _own(edge: Edge, in_own: int, in_other: int) -> OwnWrite:
    pair, delta = edge.pair, 1 if edge.following else -1
    own = OwnFollow(pair.followee_id.bytes, delta, in_own, in_other, edge.version)
    return pair.follower_id.bytes, FOLLOW, own.packed()


def _lately_changed(edges: Sequence[Edge], deps: Deps) -> list[Change]:
    """The changes that brought edges into their states, while own reads may miss them.

    A first try may have died before it published: nobody counts the change before that, and a relay takes its time. Published
    again under the same ids it is counted once, and the places are those of the first.
    """
    oldest = deps.clock.now_us() - KEPT_S * 1_000_000
    return [Change(replace(edge, following=not edge.following), edge) for edge in edges if edge.version > oldest]


async def _read(pairs: Sequence[Pair], deps: Deps) -> tuple[list[Edge], dict[uuid.UUID, int]]:
    async with asyncio.TaskGroup() as reads:
        edges = reads.create_task(deps.store.edges(pairs))
        newest = reads.create_task(deps.store.versions({pair.follower_id for pair in pairs}))
    return edges.result(), newest.result()


async def _written(
    edges: list[Edge],
    changes: list[Change],
    newest: dict[uuid.UUID, int],
    deps: Deps,
    repeated: Mapping[uuid.UUID, int] = NOTHING,
) -> Written:
    after = {change.after.pair: change.after for change in changes}
    stored = {edge.pair.follower_id: newest[edge.pair.follower_id] for edge in after.values()}
    versions = newest | (await settled({**repeated, **stored}, deps) if repeated or stored else {})
    return Written([after.get(edge.pair, edge) for edge in edges], changes, versions)


async def _store(changes: list[Change], deps: Deps) -> list[Change]:
    deps.faults.at("graph.follow.before_batch")
    await deps.store.apply(changes, announce=announcements(changes))
    deps.faults.at("graph.follow.after_batch")
    return changes
