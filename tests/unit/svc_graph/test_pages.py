"""Kept pages: served under an unchanged stamp alone, forgotten in time, within their room."""

import uuid

from svc_graph.domain import WHOLE, Shard
from svc_graph.levels import Crowd
from svc_graph.pages import KeptPages
from svc_graph.stamps_cql import KEPT_S, Stamp

WHO = uuid.UUID(int=1)
CROWD = Crowd(WHO, WHOLE)


class Partition:
    """A partition, its stamp, and how often it was read."""

    def __init__(self) -> None:
        self.ids = [uuid.UUID(int=number) for number in range(10, 20)]
        self.stamp: Stamp | None = frozenset()
        self.reads = 0
        self.now = 10_000.0

    async def of(self, crowd: Crowd) -> Stamp | None:
        return self.stamp

    async def page(self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        self.reads += 1
        return [one for one in self.ids if after is None or one > after][:limit]

    def changed(self) -> None:
        """Somebody was added at the end."""
        self.ids.append(uuid.UUID(int=self.ids[-1].int + 1))


def keeping(partition: Partition, room: int = 10_000) -> KeptPages:
    return KeptPages(partition, partition, room, lambda: partition.now)


async def test_an_equal_stamp_serves_the_page_again_and_another_one_reads_it() -> None:
    partition = Partition()
    pages = keeping(partition)
    whole = await pages.read(CROWD, None, 100, stamped=True)
    assert await pages.read(CROWD, None, 100, stamped=True) == whole
    assert partition.reads == 1
    partition.changed()
    partition.stamp = frozenset({(WHO, 1)})
    assert (await pages.read(CROWD, None, 100, stamped=True)).follower_ids == b"".join(i.bytes for i in partition.ids)
    assert partition.reads == 2


async def test_a_page_that_is_read_while_something_changes_is_not_kept() -> None:
    partition = Partition()
    pages = keeping(partition)
    partition.stamp = None
    for _ in range(2):
        await pages.read(CROWD, None, 100, stamped=True)
    partition.stamp = frozenset()
    await pages.read(CROWD, None, 100, stamped=True)
    assert partition.reads == 3


async def test_a_page_is_not_served_when_a_stamp_as_it_was_may_be_another_one() -> None:
    """A stamp expires: what is then as before may have changed in between."""
    partition = Partition()
    pages = keeping(partition)
    await pages.read(CROWD, None, 100, stamped=True)
    partition.now += KEPT_S / 2 + 1
    await pages.read(CROWD, None, 100, stamped=True)
    assert partition.reads == 2


async def test_without_stamps_every_page_is_read() -> None:
    partition = Partition()
    pages = keeping(partition)
    for _ in range(2):
        await pages.read(CROWD, None, 100, stamped=False)
    assert partition.reads == 2


async def test_pages_are_kept_by_where_they_begin_and_how_long_they_are() -> None:
    partition = Partition()
    pages = keeping(partition)
    first = await pages.read(CROWD, None, 4, stamped=True)
    second = await pages.read(CROWD, partition.ids[3], 4, stamped=True)
    third = await pages.read(CROWD, partition.ids[7], 4, stamped=True)
    assert (first.has_more, second.has_more, third.has_more) == (True, True, False)
    assert first.follower_ids + second.follower_ids + third.follower_ids == b"".join(i.bytes for i in partition.ids)
    assert not (await pages.read(CROWD, None, 10, stamped=True)).has_more
    assert partition.reads == 4


async def test_the_page_that_was_used_least_lately_makes_room() -> None:
    partition = Partition()
    pages = keeping(partition, room=2 * (400 + 16))
    for after in (None, partition.ids[0], None, partition.ids[1]):
        await pages.read(CROWD, after, 1, stamped=True)
    assert partition.reads == 3
    await pages.read(CROWD, None, 1, stamped=True)
    assert partition.reads == 3
    await pages.read(CROWD, partition.ids[0], 1, stamped=True)
    assert partition.reads == 4
