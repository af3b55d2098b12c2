"""A task is told to stop only once, and what it awaits may swallow that, as `asyncio.wait_for` of Python 3.11 does at an answer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from ordered.partitions import Partitions
from runtime.bus import ConsumerState, Consumption
from runtime.bus.port import Deliver, Subscription
from runtime.bus.pull import PullSubscription
from runtime.bus.watch import Watch
from tests.integration.ordered_mesh import Lost

AWHILE_S = 30.0


class Library:
    """Has its answer at the very moment at which the task that waits for it is told to stop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def answer(self, *_words: object) -> None:
        if not self.asked.is_set():
            self.asked.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(AWHILE_S)
        await asyncio.sleep(0)


async def ends(library: Library, run: Callable[[], Awaitable[Any]]) -> bool:
    """Whether the task ends that is told to stop in that moment."""
    task = asyncio.ensure_future(run())
    await library.asked.wait()
    task.cancel()
    _, going_on = await asyncio.wait({task}, timeout=5)
    task.cancel()
    return not going_on


class Leases:
    """Nothing is held."""

    def __init__(self, library: Library) -> None:
        self.held: dict[int, int] = {}
        self.surplus: list[int] = []
        self.look = library.answer
        self.left = False

    def left_s(self) -> float:
        return AWHILE_S

    def expire(self) -> None: ...

    async def leave(self) -> None:
        self.left = True


async def test_partitions_are_left_when_the_order_to_stop_met_the_answer_of_the_broker() -> None:
    library, broker = Library(), None
    leases: Any = Leases(library)
    partitions = Partitions(broker, leases, "stream", "{}", Lost({}), library.answer, ttl_s=0.01)  # type: ignore[arg-type]  # not asked
    assert await ends(library, partitions.run)
    assert leases.left


async def test_a_watch_ends_when_the_order_to_stop_met_the_answer_of_the_broker() -> None:
    library = Library()
    state = ConsumerState("watched", pending=0, oldest_age_ms=0, dead=0, in_hand=0, progress=0, fill=0.0)

    async def backlog() -> ConsumerState:
        await library.answer()
        return state

    subscription = Subscription(library.answer, lambda: False, lambda: 0.0, lambda: None)
    watch = Watch("watched", backlog, subscription, look_s=0.001, stuck_s=AWHILE_S)
    assert await ends(library, watch.look)


async def test_a_subscription_ends_when_the_order_to_stop_met_the_answer_of_the_broker() -> None:
    library = Library()

    class Broker:
        """Connected, and takes subscriptions."""

        is_connected = True

        def new_inbox(self) -> str:
            return "inbox"

        async def subscribe(self, *_words: object, **_options: object) -> "Broker":
            return self

        async def drain(self) -> None: ...

        async def publish(self, *_words: object, **_options: object) -> None: ...

    broker: Any = Broker()
    deliver: Deliver = library.answer  # type: ignore[assignment]  # nothing is delivered
    consumption = Consumption(None, "work", 1, 1, 0.1, AWHILE_S)  # type: ignore[arg-type]  # not looked at
    pull = PullSubscription(broker, "test", "stream", consumption, deliver, library.answer)
    assert await ends(library, pull.run)
