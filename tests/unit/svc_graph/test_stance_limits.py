"""How many one may block and mute: exact within a process, whatever comes at once, and counted anew when something ended by itself."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from aviary.graph.v1.graph_pb2 import BlockRequest, MuteRequest

from svc_graph import standing
from svc_graph.limits import StanceLimits
from svc_graph.stances import BLOCK, MUTE, Relation
from tests.unit.svc_graph.graph import Graph, build_graph, refusal

LIMIT = 5
Set = Callable[[Graph, uuid.UUID], Awaitable[Any]]
SETS: dict[Relation, Set] = {
    BLOCK: lambda graph, other: graph.stub.Block(BlockRequest(user_id=str(other))),
    MUTE: lambda graph, other: graph.stub.Mute(MuteRequest(user_id=str(other))),
}
REASONS = {BLOCK: "BLOCK_LIMIT_REACHED", MUTE: "MUTE_LIMIT_REACHED"}
BOTH = pytest.mark.parametrize("relation", [BLOCK, MUTE])


@pytest.fixture
async def graph() -> Graph:
    return await build_graph(stance_limits={BLOCK: LIMIT, MUTE: LIMIT})


async def tried(graph: Graph, relation: Relation, who: uuid.UUID, whom: uuid.UUID) -> str:
    with graph.acting(who):
        try:
            await SETS[relation](graph, whom)
        except grpc.RpcError:
            with graph.acting(who):
                error = await refusal(SETS[relation](graph, whom))
            assert error.status is grpc.StatusCode.FAILED_PRECONDITION
            return error.reason
        return "done"


async def standing_count(graph: Graph, relation: Relation, who: uuid.UUID) -> int:
    return await graph.store.standing_count(relation, who, graph.clock.now_ms())


@BOTH
async def test_of_many_that_come_at_once_as_many_as_may_be_are_set(graph: Graph, relation: Relation) -> None:
    """P51"""
    alice, *others = (graph.account() for _ in range(31))
    answers = Counter(await asyncio.gather(*(tried(graph, relation, alice, other) for other in others)))
    assert answers == {"done": LIMIT, REASONS[relation]: 30 - LIMIT}
    assert await standing_count(graph, relation, alice) == LIMIT


@BOTH
async def test_at_the_limit_what_stands_may_be_set_again_and_another_when_one_ended(
    graph: Graph, relation: Relation
) -> None:
    alice, *others = (graph.account() for _ in range(LIMIT + 3))
    for other in others[:LIMIT]:
        assert await tried(graph, relation, alice, other) == "done"
    assert await tried(graph, relation, alice, others[0]) == "done"
    assert await tried(graph, relation, alice, others[LIMIT]) == REASONS[relation]
    await (graph.unblock if relation == BLOCK else graph.unmute)(alice, others[0])
    assert await tried(graph, relation, alice, others[LIMIT]) == "done"
    assert await tried(graph, relation, alice, others[LIMIT + 1]) == REASONS[relation]


async def test_blocks_and_mutes_and_those_of_others_are_counted_apart(graph: Graph) -> None:
    alice, bob, *others = (graph.account() for _ in range(LIMIT + 2))
    for other in others:
        for who in (alice, bob):
            assert await tried(graph, BLOCK, who, other) == "done"
            assert await tried(graph, MUTE, who, other) == "done"


async def test_a_mute_whose_time_is_over_makes_room_and_set_again_it_takes_it(graph: Graph) -> None:
    alice, *others = (graph.account() for _ in range(LIMIT + 2))
    await graph.mute(alice, others[0], 60)
    for other in others[1:LIMIT]:
        assert await tried(graph, MUTE, alice, other) == "done"
    assert await tried(graph, MUTE, alice, others[LIMIT]) == "MUTE_LIMIT_REACHED"
    graph.clock.us += 61_000_000
    assert await tried(graph, MUTE, alice, others[LIMIT]) == "done"
    assert await tried(graph, MUTE, alice, others[0]) == "MUTE_LIMIT_REACHED"


async def test_who_is_at_the_limit_may_end_a_timed_mute_s_time(graph: Graph) -> None:
    alice, *others = (graph.account() for _ in range(LIMIT + 1))
    for other in others:
        await graph.mute(alice, other, 60)
    assert await tried(graph, MUTE, alice, others[0]) == "done"
    assert await standing_count(graph, MUTE, alice) == LIMIT


async def test_who_blocks_many_one_after_another_is_counted_once(graph: Graph) -> None:
    alice, *others = (graph.account() for _ in range(LIMIT + 1))
    counts = 0

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(graph.store, name)

        async def standing_count(self, *args: Any) -> int:
            nonlocal counts
            counts += 1
            return await graph.store.standing_count(*args)

    store: Any = Counted()
    deps = replace(graph.deps, stance_limits=StanceLimits(store, {BLOCK: LIMIT, MUTE: LIMIT}))
    for other in others:
        await standing.block(alice, other, deps)
    assert counts == 1
