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
        self.stamp: Stamp | None = b"first"
        self.looks = 0
        self.reads = 0
        self.now = 10_000.0

    async def of(self, crowd: Crowd) -> Stamp | None:
        self.looks += 1
        return self.stamp

    async def page(self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        self.reads += 1
        return [one for one in self.ids if after is None or one > after][:limit]

    def changed(self) -> None:
        """Somebody was added at the end."""
        self.ids.append(uuid.UUID(int=self.ids[-1].int + 1))

    def packed(self) -> bytes:
        """All of them."""
        return b"".join(one.bytes for one in self.ids)


def keeping(partition: Partition, room: int = 10_000) -> KeptPages:
    return KeptPages(partition, partition, room, lambda: partition.now)


async def test_an_equal_stamp_serves_the_page_again_and_another_one_reads_it() -> None:
    partition = Partition()
    pages = keeping(partition)
    whole = await pages.read(CROWD, None, 100, stamped=True)
    assert await pages.read(CROWD, None, 100, stamped=True) == whole
    assert partition.reads == 1
    partition.changed()
    partition.stamp = b"second"
    assert (await pages.read(CROWD, None, 100, stamped=True)).follower_ids == partition.packed()
    assert partition.reads == 2


async def test_a_page_that_is_read_while_something_changes_is_not_kept() -> None:
    partition = Partition()
    pages = keeping(partition)
    partition.stamp = None
    for _ in range(2):
        await pages.read(CROWD, None, 100, stamped=True)
    partition.stamp = b"first"
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


async def walk(pages: KeptPages, limit: int = 4) -> bytes:
    """The whole partition, each page in the state that the one before named."""
    found, as_of, after = b"", b"", None
    while True:
        page = await pages.read(CROWD, after, limit, stamped=True, as_of=as_of)
        found += page.follower_ids
        if not page.has_more:
            return found
        after, as_of = uuid.UUID(bytes=found[-16:]), page.as_of


async def test_who_walks_kept_pages_has_one_look_taken_for_all_of_them() -> None:
    partition = Partition()
    pages = keeping(partition)
    assert await walk(pages) == partition.packed()
    looks, reads = partition.looks, partition.reads
    assert await walk(pages) == partition.packed()
    assert (partition.looks, partition.reads) == (looks + 1, reads)


async def test_a_page_of_another_state_than_the_one_that_is_asked_for_is_not_served() -> None:
    """Who followed before the first page of a walk was asked for is on a later page, whatever was kept of it before."""
    partition = Partition()
    pages = keeping(partition)
    await walk(pages)
    partition.changed()
    partition.stamp = b"second"
    assert await walk(pages) == partition.packed()


async def test_a_walk_goes_on_in_the_state_of_now_where_nothing_is_kept_of_that_which_it_began_in() -> None:
    partition = Partition()
    one, other = keeping(partition), keeping(partition)
    first = await one.read(CROWD, None, 4, stamped=True)
    partition.changed()
    partition.stamp = b"second"
    second = await other.read(CROWD, partition.ids[3], 100, stamped=True, as_of=first.as_of)
    assert first.follower_ids + second.follower_ids == partition.packed()
    assert (first.as_of, second.as_of) == (b"first", b"second")


async def test_a_page_that_is_too_old_is_not_served_to_a_walk_either() -> None:
    """What the walk was told may be a stamp that expired and came again."""
    partition = Partition()
    pages = keeping(partition)
    first = await pages.read(CROWD, None, 100, stamped=True)
    partition.now += KEPT_S / 2 + 1
    partition.changed()
    assert (await pages.read(CROWD, None, 100, stamped=True, as_of=first.as_of)).follower_ids == partition.packed()


async def test_a_page_that_was_read_while_something_changed_names_no_state() -> None:
    partition = Partition()
    partition.stamp = None
    assert (await keeping(partition).read(CROWD, None, 100, stamped=True)).as_of == b""


async def test_pages_are_kept_by_where_they_begin_and_how_long_they_are() -> None:
    partition = Partition()
    pages = keeping(partition)
    first = await pages.read(CROWD, None, 4, stamped=True)
    second = await pages.read(CROWD, partition.ids[3], 4, stamped=True)
    third = await pages.read(CROWD, partition.ids[7], 4, stamped=True)
    assert (first.has_more, second.has_more, third.has_more) == (True, True, False)
    assert first.follower_ids + second.follower_ids + third.follower_ids == partition.packed()
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
