"""What a process does with its partitions when the broker hangs; over a real broker it is tests/integration/test_ordered.py."""

import asyncio
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from structlog.testing import capture_logs

from ordered.partitions import Partitions, _Partition
from ordered.port import Piece, Slice
from runtime.bus.port import Answer, Delivery
from runtime.errors import Unavailable
from tests.waiting import until

PARTITION = 7


class Hanging:
    """Leases of which one was taken, and a broker that says nothing any more."""

    def __init__(self) -> None:
        self.held = {PARTITION: 1}
        self.surplus: list[int] = []
        self.looked = asyncio.Event()

    def left_s(self) -> float:
        return 0.01 if self.held else float("inf")

    def expire(self) -> None:
        if self.looked.is_set():
            self.held = {}

    async def look(self, _given_up: object) -> None:
        self.looked.set()
        await asyncio.Event().wait()

    async def leave(self) -> None:
        pass


class Work:
    """Ordered work whose position is never told."""

    durable = "work"
    messages: Sequence[type[Message]] = ()

    async def load(self, _partition: int) -> int:
        await asyncio.Event().wait()
        raise AssertionError

    async def positions(self) -> dict[int, int]:
        return {}

    async def handle(self, _piece: Slice) -> None:
        pass


async def hand(_piece: Piece) -> None:
    pass


async def test_a_broker_that_hangs_keeps_nobody_at_work_past_the_end_of_the_lease() -> None:
    leases: Any = Hanging()
    broker: Any = None
    partitions = Partitions(broker, leases, "stream", "{}", Work(), hand, ttl_s=1e6)
    run = asyncio.create_task(partitions.run())
    await leases.looked.wait()
    assert PARTITION in partitions._owned
    await until(lambda: not partitions._owned)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


class Away(Work):
    """The store of positions does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def load(self, _partition: int) -> int:
        self.asked += 1
        raise Unavailable("the database does not answer", retry_after_s=1)


async def test_partitions_that_cannot_be_read_are_said_once_however_often_they_are_tried() -> None:
    leases: Any = Hanging()
    leases.expire = lambda: None
    leases.left_s = lambda: float("inf")
    broker: Any = None
    work = Away()
    partitions = Partitions(broker, leases, "stream", "{}", work, hand, ttl_s=0.01)
    with capture_logs() as lines:
        run = asyncio.create_task(partitions.run())
        await until(lambda: work.asked > 3)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert [line["event"] for line in lines].count("partitions_not_read") == 1


async def test_between_the_pieces_of_a_long_queue_the_loop_does_what_else_there_is() -> None:
    """P54: a tweet that everybody likes fills queues; requests of the same process do not wait until they are empty."""
    handed: list[int] = []
    others = 0

    async def take(piece: Piece) -> None:
        handed.append(len(piece.found))
        assert others >= len(handed) - 1

    async def unheard(_what: Answer, _delay_s: float) -> None:
        raise AssertionError

    leases: Any = Hanging()
    broker: Any = None
    partitions = Partitions(broker, leases, "stream", "{}", Work(), take, ttl_s=1e6)
    partition = _Partition(PARTITION, 1, reader=object())
    partition.queue.extend(Delivery(b"", {}, "subject", str(place), unheard, place) for place in range(1, 1001))
    through = asyncio.create_task(partitions._through(partition))
    while partition.at < 1000 and not through.done():
        await asyncio.sleep(0)
        others += 1
    through.cancel()
    await asyncio.gather(through, return_exceptions=True)
    assert sum(handed) == 1000
    assert max(handed) <= 100
