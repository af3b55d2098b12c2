"""One tweet for many viewers: judging them at once and one by one comes to the same."""

import itertools

import pytest

from tests.unit.views.world import World
from views.items import Item
from views.live import concerned, is_concerned, load_live, may_see, shown_to


@pytest.mark.parametrize(("deleted", "unfollowed", "known"), list(itertools.product([False, True], repeat=3)))
async def test_everybody_at_once_is_judged_as_one_by_one(deleted: bool, unfollowed: bool, known: bool) -> None:
    world = World()
    author, follower, stranger = world.user("author"), world.user("follower"), world.user("stranger")
    world.follow(follower, author)
    tweet = world.tweet(author)
    await world.warm()
    live = await load_live(Item(tweet, author), world.deps)
    assert live is not None
    if known:
        await world.deps.relations.get(follower)
        await world.deps.relations.get(stranger)
    if unfollowed:
        world.follow(follower, author, following=False)
    if deleted:
        await world.signal_delete(tweet)
    viewers = [author, follower, stranger]
    meant, ask = shown_to(live, viewers, world.deps)
    if deleted:
        assert (meant, ask) == ([], [])
    assert known == (follower in meant) or deleted
    for viewer in viewers:
        if viewer not in ask:
            assert await may_see(live, viewer, world.deps) == (viewer in meant)
    told, unsure = concerned(author, viewers, world.deps)
    assert set(told) | {v for v in unsure if await is_concerned(author, v, world.deps)} == {
        v for v in viewers if await is_concerned(author, v, world.deps)
    }
