"""What a process does with its partitions when the broker hangs; over a real broker it is tests/integration/test_ordered.py."""

import asyncio
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from ordered.partitions import Partitions
from ordered.port import Piece, Slice
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
