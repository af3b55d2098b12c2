"""ListBlocksByTime: whom an account blocks, latest first."""

import uuid

import pytest
from aviary.graph.v1.graph_pb2 import ListBlocksByTimeRequest, ListBlocksByTimeResponse, ListMutesByTimeRequest

from tests.unit.svc_graph.graph import Graph, refusal


async def page(graph: Graph, user_id: uuid.UUID, limit: int, cursor: str = "") -> ListBlocksByTimeResponse:
    request = ListBlocksByTimeRequest(user_id=user_id.bytes, limit=limit, cursor=cursor)
    with graph.acting(user_id):
        answer: ListBlocksByTimeResponse = await graph.stub.ListBlocksByTime(request)
        return answer


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_any_page_size_gives_the_same_whole_latest_first(graph: Graph, limit: int) -> None:
    alice, *others = (graph.account() for _ in range(8))
    for other in others:
        await graph.block(alice, other)
    await graph.unblock(alice, others[3])
    found, cursor = [], ""
    while True:
        answer = await page(graph, alice, limit, cursor)
        found += [entry.user_id for entry in answer.entries]
        cursor = answer.next_cursor
        if not cursor:
            break
    assert found == [other.bytes for other in reversed(others) if other != others[3]]


async def test_who_blocks_the_account_is_not_in_the_list(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    await graph.block(bob, alice)
    assert not (await page(graph, alice, 10)).entries


async def test_a_cursor_of_another_list_is_refused(graph: Graph) -> None:
    """P34."""
    alice, *others = (graph.account() for _ in range(3))
    for other in others:
        await graph.block(alice, other)
    cursor = (await page(graph, alice, 1)).next_cursor
    with graph.acting(alice):
        request = ListMutesByTimeRequest(user_id=alice.bytes, limit=1, cursor=cursor)
        assert (await refusal(graph.stub.ListMutesByTime(request))).reason == "INVALID_CURSOR"
        changed = ListBlocksByTimeRequest(user_id=alice.bytes, limit=1, cursor=cursor[:-2] + "AA")
        assert (await refusal(graph.stub.ListBlocksByTime(changed))).reason == "INVALID_CURSOR"
