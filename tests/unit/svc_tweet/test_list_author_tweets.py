"""ListAuthorTweets: an author's ids, in pages that fit together."""

import uuid

import pytest
from aviary.tweet.v1 import tweet_pb2 as pb

from runtime.context import acting
from tests.unit.svc_tweet.world import SERVICE, World, refusal

MONTH_US = 31 * 24 * 3600 * 1_000_000


async def posts(world: World, author: uuid.UUID, count: int, pause_us: int = 0) -> list[str]:
    """Posted ids, newest first."""
    made = []
    for number in range(count):
        world.clock.us += pause_us
        made.append((await world.post(author, f"tweet {number}")).tweet_id)
    return made[::-1]


async def paged(world: World, author: uuid.UUID, limit: int, max_id: bytes = b"") -> list[str]:
    """Every id, read page by page."""
    whole: list[str] = []
    more = True
    while more:
        page, more = await world.listed(author, limit, max_id)
        assert 0 < len(page) <= limit
        whole += page
        max_id = uuid.UUID(page[-1]).bytes
    return whole


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 11, 1000])
async def test_any_page_size_gives_the_same_whole_p31(world: World, limit: int) -> None:
    """P31. The tweets lie in several months, one of which is empty."""
    alice = world.account()
    old = await posts(world, alice, 4, pause_us=MONTH_US // 3)
    world.clock.us += 2 * MONTH_US
    whole = await posts(world, alice, 6, pause_us=MONTH_US // 4) + old
    deleted = whole[2]
    await world.delete(alice, deleted)
    assert await paged(world, alice, limit) == [one for one in whole if one != deleted]


async def test_pages_stay_disjoint_while_tweets_arrive_p31(world: World) -> None:
    """P31."""
    alice = world.account()
    whole = await posts(world, alice, 10)
    first, _ = await world.listed(alice, 3)
    await posts(world, alice, 20)
    assert first + await paged(world, alice, 3, uuid.UUID(first[-1]).bytes) == whole


async def test_both_bounds_are_exclusive_and_need_not_exist(world: World) -> None:
    alice = world.account()
    whole = await posts(world, alice, 5)
    ids = [uuid.UUID(one).bytes for one in whole]
    assert await world.listed(alice, max_id=ids[1], since_id=ids[4]) == (whole[2:4], False)
    assert await world.listed(alice, max_id=ids[3], since_id=ids[3]) == ([], False)
    between = (int.from_bytes(ids[2]) + 1).to_bytes(16)
    assert await world.listed(alice, max_id=between) == (whole[2:], False)
    assert await world.listed(alice, max_id=b"\xff" * 16, since_id=bytes(16)) == (whole, False)


async def test_there_is_more_only_when_more_follows(world: World) -> None:
    alice = world.account()
    whole = await posts(world, alice, 3)
    assert await world.listed(alice, 3) == (whole, False)
    assert await world.listed(alice, 2) == (whole[:2], True)
    await world.delete(alice, whole[2])
    assert await world.listed(alice, 2) == (whole[:2], False)


async def test_others_tweets_and_unknown_authors_do_not_show(world: World) -> None:
    await posts(world, world.account(), 2)
    assert await world.listed(world.account()) == ([], False)


async def test_200_is_the_default_and_malformed_bounds_are_refused(world: World) -> None:
    alice = world.account()
    await posts(world, alice, 201)
    with acting(SERVICE):
        answer = await world.stub.ListAuthorTweets(pb.ListAuthorTweetsRequest(author_id=alice.bytes))
        assert (len(answer.tweet_ids), answer.has_more) == (200 * 16, True)
        for wrong in (
            {"author_id": b"short"},
            {"author_id": alice.bytes, "max_id": b"short"},
            {"author_id": alice.bytes, "since_id": b"x" * 17},
            {"author_id": alice.bytes, "limit": 1001},
        ):
            call = world.stub.ListAuthorTweets(pb.ListAuthorTweetsRequest(**wrong))
            assert (await refusal(call)).reason == "INVALID_REQUEST"


async def test_deleted_tweets_are_given_and_named_to_who_asks_for_them(world: World) -> None:
    """An audit must know which tweets took a place in a backfill."""
    alice = world.account()
    kept, gone = [uuid.UUID((await world.post(alice, text)).tweet_id).bytes for text in ("kept", "gone")]
    await world.delete(alice, str(uuid.UUID(bytes=gone)))
    with acting(SERVICE):
        request = pb.ListAuthorTweetsRequest(author_id=alice.bytes, include_deleted=True)
        answer = await world.stub.ListAuthorTweets(request)
    assert (answer.tweet_ids, answer.deleted_ids, answer.has_more) == (gone + kept, gone, False)
