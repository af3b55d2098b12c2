"""ListKnownFollowers: followers of an account whom a viewer follows, from whichever side is smaller, without the hidden."""

import uuid

import pytest
from aviary.graph.v1.graph_pb2 import BlockRequest, ListKnownFollowersRequest, MuteRequest

from svc_graph import known
from tests.unit.svc_graph.graph import Graph, refusal


async def known_of(graph: Graph, who: uuid.UUID, viewer: uuid.UUID, limit: int = 1000) -> list[bytes]:
    """Every page."""
    request = ListKnownFollowersRequest(user_id=who.bytes, viewer_id=viewer.bytes, limit=limit)
    found: list[bytes] = []
    while True:
        page = await graph.stub.ListKnownFollowers(request)
        assert len(page.entries) <= limit
        found += [entry.user_id for entry in page.entries]
        if not page.next_cursor:
            return found
        request.cursor = page.next_cursor


@pytest.mark.parametrize("looked_at", [2, 5, 1000])
@pytest.mark.parametrize(("followed", "following"), [(12, 3), (3, 12), (12, 12)])
@pytest.mark.parametrize("limit", [1, 2, 5, 1000])
async def test_any_page_size_gives_everybody_who_follows_and_is_followed(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, looked_at: int, followed: int, following: int, limit: int
) -> None:
    """P31, P32: whichever side is the smaller one, and when both are larger than what one page looks at."""
    monkeypatch.setattr(known, "LOOKED_AT", looked_at)
    viewer, who, *others = (graph.account() for _ in range(17))
    for other in others[:followed]:
        await graph.follow(viewer, other)
    for other in others[-following:]:
        await graph.follow(other, who)
    both = sorted(other.bytes for other in set(others[:followed]) & set(others[-following:]))
    assert await known_of(graph, who, viewer, limit) == both


async def test_blocked_blocking_and_muted_people_are_not_among_them(graph: Graph) -> None:
    """P44."""
    viewer, who, friend, *rest = (graph.account() for _ in range(6))
    for other in (friend, *rest):
        await graph.follow(viewer, other)
        await graph.follow(other, who)
    blocked, blocking, muted = rest
    with graph.acting(viewer):
        await graph.stub.Block(BlockRequest(user_id=str(blocked)))
        await graph.stub.Mute(MuteRequest(user_id=str(muted)))
    with graph.acting(blocking):
        await graph.stub.Block(BlockRequest(user_id=str(viewer)))
    assert await known_of(graph, who, viewer) == [friend.bytes]


async def test_a_cursor_of_another_viewer_or_account_opens_nothing(graph: Graph) -> None:
    """P34."""
    viewer, who, other, *rest = (graph.account() for _ in range(5))
    for one in rest:
        await graph.follow(viewer, one)
        await graph.follow(one, who)
    request = ListKnownFollowersRequest(user_id=who.bytes, viewer_id=viewer.bytes, limit=1)
    cursor = (await graph.stub.ListKnownFollowers(request)).next_cursor
    for user_id, viewer_id in ((other, viewer), (who, other)):
        stolen = ListKnownFollowersRequest(user_id=user_id.bytes, viewer_id=viewer_id.bytes, cursor=cursor)
        assert (await refusal(graph.stub.ListKnownFollowers(stolen))).reason == "INVALID_CURSOR"


async def test_only_services_ask(graph: Graph) -> None:
    alice, bob = graph.account(), graph.account()
    request = ListKnownFollowersRequest(user_id=alice.bytes, viewer_id=bob.bytes)
    with graph.acting(bob):
        await refusal(graph.direct.ListKnownFollowers(request))
