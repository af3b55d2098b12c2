"""SuggestAccounts: whom friends follow, most often named first, and nobody who must not be."""

import uuid

import pytest
from aviary.graph.v1.graph_pb2 import BlockRequest, MuteRequest, SuggestAccountsRequest

from svc_graph import suggestions
from tests.unit.svc_graph.graph import Graph, refusal


async def suggested(graph: Graph, who: uuid.UUID, limit: int = 100) -> list[tuple[bytes, int]]:
    answer = await graph.stub.SuggestAccounts(SuggestAccountsRequest(user_id=who.bytes, limit=limit))
    return [(one.user_id, one.followed_by) for one in answer.suggestions]


async def test_who_is_followed_by_more_friends_comes_first_and_equals_in_the_order_of_their_ids(graph: Graph) -> None:
    alice, *friends = (graph.account() for _ in range(4))
    often, first, second = sorted(graph.account() for _ in range(3))[::-1]
    for friend in friends:
        await graph.follow(alice, friend)
        await graph.follow(friend, alice)
        await graph.follow(friend, often)
    await graph.follow(friends[0], first)
    await graph.follow(friends[1], second)
    expected = [(often.bytes, 3), (second.bytes, 1), (first.bytes, 1)]
    assert await suggested(graph, alice) == await suggested(graph, alice) == expected
    assert await suggested(graph, alice, limit=2) == expected[:2]


async def test_nobody_is_suggested_who_is_followed_blocked_blocking_muted_or_suspended(graph: Graph) -> None:
    """P44."""
    alice, friend, fine, followed, blocked, blocking, muted, suspended = (graph.account() for _ in range(8))
    await graph.follow(alice, friend)
    await graph.follow(alice, followed)
    for other in (fine, followed, blocked, blocking, muted, suspended):
        await graph.follow(friend, other)
    with graph.acting(alice):
        await graph.stub.Block(BlockRequest(user_id=str(blocked)))
        await graph.stub.Mute(MuteRequest(user_id=str(muted)))
    with graph.acting(blocking):
        await graph.stub.Block(BlockRequest(user_id=str(alice)))
    graph.users.suspended.add(suspended.bytes)
    await graph.hear_accounts(suspended)
    assert await suggested(graph, alice) == [(fine.bytes, 1)]


async def test_only_the_newest_followees_of_the_newest_friends_are_looked_at(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is bounded, whomever an account follows."""
    monkeypatch.setattr(suggestions, "FRIENDS", 2)
    monkeypatch.setattr(suggestions, "EACH", 2)
    alice, *friends = (graph.account() for _ in range(4))
    theirs = [graph.account() for _ in range(9)]
    for number, friend in enumerate(friends):
        await graph.follow(alice, friend)
        for other in theirs[3 * number : 3 * number + 3]:
            await graph.follow(friend, other)
    assert {one for one, _ in await suggested(graph, alice)} == {one.bytes for one in theirs[4:6] + theirs[7:9]}


async def test_who_follows_nobody_is_suggested_nobody_and_only_services_ask(graph: Graph) -> None:
    alice = graph.account()
    assert await suggested(graph, alice) == []
    with graph.acting(alice):
        await refusal(graph.direct.SuggestAccounts(SuggestAccountsRequest(user_id=alice.bytes)))
