"""Who begins to watch while others' counts are on their way; everything else of watches is in test_watches.py."""

from tests.unit.edge.stream.rig import Rig
from tests.unit.views.world import text


async def test_who_begins_to_watch_while_blocks_are_asked_for_is_shown_nothing_before_it_is_asked_about() -> None:
    """P47"""
    rig = Rig()
    world = rig.world
    await world.warm()
    alice, bob, carol = world.user("alice"), world.user("bob"), world.user("carol")
    tweet = world.tweet(bob)
    world.block(bob, carol)
    (first, wire), (second, others) = rig.socket(alice), rig.socket(carol)

    async def watch_meanwhile() -> None:
        del world.hold["GetViewerSnapshot"]
        rig.watches.watch(second, {tweet})

    world.hold["GetViewerSnapshot"] = watch_meanwhile
    rig.watches.watch(first, {tweet})
    await rig.watches.round()
    assert wire.types() == ["counts"] and others.types() == []
    await rig.watches.round()
    assert others.types() == ["tweet_deleted"] and others.sent[0]["data"]["tweet_id"] == text(tweet)
