"""ListFollowersByTime: pages of who follows, latest first, and cursors that fit nowhere else."""

import uuid

import grpc
import pytest
from aviary.graph.v1.graph_pb2 import (
    ListFollowersByTimeRequest,
    ListFollowersByTimeResponse,
    ListFollowingByTimeRequest,
)

from cursors import LIFETIME_MS
from tests.unit.svc_graph.graph import Graph, refusal


async def page(graph: Graph, who: uuid.UUID, limit: int | None = None, cursor: str = "") -> ListFollowersByTimeResponse:
    answer: ListFollowersByTimeResponse = await graph.stub.ListFollowersByTime(
        ListFollowersByTimeRequest(user_id=who.bytes, limit=limit, cursor=cursor)
    )
    return answer


async def test_the_list_is_latest_first_and_says_since_when(graph: Graph) -> None:
    alice, bob, carol = (graph.account() for _ in range(3))
    await graph.follow(bob, alice)
    await graph.follow(carol, alice)
    answer = await page(graph, alice)
    assert [entry.user_id for entry in answer.entries] == [carol.bytes, bob.bytes]
    times = [entry.followed_at.ToMilliseconds() for entry in answer.entries]
    assert times == [graph.clock.now_ms(), graph.clock.now_ms() - 1]
    assert answer.next_cursor == ""


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 1000])
async def test_any_page_size_gives_the_same_whole_while_follows_are_made(graph: Graph, limit: int) -> None:
    """P31."""
    alice, *others = (graph.account() for _ in range(8))
    for other in others:
        await graph.follow(other, alice)
    whole = [entry.user_id for entry in (await page(graph, alice)).entries]
    seen: list[bytes] = []
    cursor = ""
    while True:
        answer = await page(graph, alice, limit, cursor)
        assert 0 < len(answer.entries) <= limit
        seen += [entry.user_id for entry in answer.entries]
        cursor = answer.next_cursor
        if not cursor:
            break
        await graph.follow(graph.account(), alice)
    assert seen == whole


async def test_who_unfollows_is_gone_and_following_again_puts_first(graph: Graph) -> None:
    alice, bob, carol = (graph.account() for _ in range(3))
    await graph.follow(bob, alice)
    await graph.follow(carol, alice)
    await graph.unfollow(bob, alice)
    assert [entry.user_id for entry in (await page(graph, alice)).entries] == [carol.bytes]
    await graph.follow(bob, alice)
    assert [entry.user_id for entry in (await page(graph, alice)).entries] == [bob.bytes, carol.bytes]


async def test_an_unknown_account_has_an_empty_list_without_a_cursor(graph: Graph) -> None:
    assert await page(graph, graph.ids.next(), 1) == ListFollowersByTimeResponse()


async def seal_one(graph: Graph) -> tuple[uuid.UUID, str]:
    alice = graph.account()
    for _ in range(3):
        await graph.follow(graph.account(), alice)
    return alice, (await page(graph, alice, 1)).next_cursor


async def test_a_tampered_cursor_is_refused(graph: Graph) -> None:
    """P34."""
    alice, cursor = await seal_one(graph)
    changed = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    error = await refusal(page(graph, alice, 1, changed))
    assert (error.status, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CURSOR")
    assert error.fields[0].field == "cursor"


async def test_a_cursor_of_another_list_of_the_account_is_refused(graph: Graph) -> None:
    """P34: the same viewer and the same account, but the other rpc."""
    alice, cursor = await seal_one(graph)
    request = ListFollowingByTimeRequest(user_id=alice.bytes, cursor=cursor)
    assert (await refusal(graph.stub.ListFollowingByTime(request))).reason == "INVALID_CURSOR"


async def test_a_cursor_of_another_accounts_list_is_refused(graph: Graph) -> None:
    """P34."""
    _, cursor = await seal_one(graph)
    assert (await refusal(page(graph, graph.account(), 1, cursor))).reason == "INVALID_CURSOR"


async def test_a_cursor_of_another_viewer_is_refused(graph: Graph) -> None:
    """P34: given to nobody signed in, used by somebody."""
    alice, cursor = await seal_one(graph)
    with graph.acting(alice):
        assert (await refusal(page(graph, alice, 1, cursor))).reason == "INVALID_CURSOR"


async def test_an_expired_cursor_is_refused(graph: Graph) -> None:
    """P34."""
    alice, cursor = await seal_one(graph)
    graph.clock.us += (LIFETIME_MS + 1) * 1000
    assert (await refusal(page(graph, alice, 1, cursor))).reason == "INVALID_CURSOR"


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_limit_out_of_range_is_refused_naming_the_field(graph: Graph, limit: int) -> None:
    error = await refusal(page(graph, graph.account(), limit))
    assert (error.reason, error.fields[0].field) == ("INVALID_REQUEST", "limit")


async def test_without_a_limit_a_page_has_a_hundred(graph: Graph) -> None:
    alice = graph.account()
    for _ in range(101):
        await graph.follow(graph.account(), alice)
    answer = await page(graph, alice)
    assert len(answer.entries) == 100
    assert answer.next_cursor


async def test_only_services_may_ask(graph: Graph) -> None:
    with graph.acting(graph.account()):
        error = await refusal(graph.direct.ListFollowersByTime(ListFollowersByTimeRequest(user_id=b"u" * 16)))
    assert error.reason == "NOT_ALLOWED"
