"""ListMutesByTime: whom an account mutes now, latest first."""

import uuid

import pytest
from aviary.graph.v1.graph_pb2 import ListMutesByTimeRequest, ListMutesByTimeResponse

from tests.unit.svc_graph.graph import Graph


async def page(graph: Graph, user_id: uuid.UUID, limit: int, cursor: str = "") -> ListMutesByTimeResponse:
    request = ListMutesByTimeRequest(user_id=user_id.bytes, limit=limit, cursor=cursor)
    with graph.acting(user_id):
        answer: ListMutesByTimeResponse = await graph.stub.ListMutesByTime(request)
        return answer


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_any_page_size_gives_the_same_whole_without_what_is_over(graph: Graph, limit: int) -> None:
    """P32: mutes whose time is over do not shorten a page."""
    alice, *others = (graph.account() for _ in range(9))
    for number, other in enumerate(others):
        await graph.mute(alice, other, 60 if number % 2 else None)
    graph.clock.us += 3_600_000_000
    found, cursor = [], ""
    while True:
        answer = await page(graph, alice, limit, cursor)
        assert len(answer.entries) == limit or not answer.next_cursor
        found += [entry.user_id for entry in answer.entries]
        cursor = answer.next_cursor
        if not cursor:
            break
    assert found == [other.bytes for other in others[::2][::-1]]
