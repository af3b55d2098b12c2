"""The watch over a durable: when it calls one stuck, what it does, and what it says of streams that fill."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import structlog
from aviary.tweet.v1.events_pb2 import TweetCreated
from prometheus_client import REGISTRY

from runtime.bus import ConsumerState, Consumption, consumes
from runtime.bus.port import Subscription, consumption_of
from runtime.bus.watch import Watch
from runtime.errors import Unavailable
from simulation.bus import MemoryBus
from tests.waiting import until


@consumes(TweetCreated, durable="watched")
async def watched(_event: TweetCreated, _deps: object) -> None: ...


class StillBus(MemoryBus):
    """Says what a test wants it to say about the durable."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ConsumerState("watched", pending=3, oldest_age_ms=5000, dead=2, in_hand=0, progress=7, fill=0.1)
        self.looks = 0

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        self.looks += 1
        self._ensure_up()
        return self.state


class Scene:
    """A watch that looks all the time and for which no moment is too short."""

    def __init__(self) -> None:
        self.bus = StillBus()
        self.renewals = 0
        self.at_work = False
        self.silent_s = 0.0
        subscription = Subscription(idle, lambda: self.at_work, lambda: self.silent_s, self.renew)
        consumption = consumption_of(watched)
        self.watch = Watch("watched", lambda: self.bus.backlog(consumption), subscription, look_s=0.001, stuck_s=0.0)

    def renew(self) -> None:
        """Called when the watch wants a new subscription."""
        self.renewals += 1

    async def looked(self, times: int = 5) -> None:
        """Wait until the watch looked so often from now on."""
        seen = self.bus.looks
        await until(lambda: self.bus.looks >= seen + times)


async def idle() -> None: ...


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    task = asyncio.create_task(scene.watch.look())
    yield scene
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_messages_that_wait_while_nothing_moves_get_a_new_subscription_and_then_readiness_goes_red(
    scene: Scene,
) -> None:
    """P59, P81."""
    await until(lambda: scene.renewals >= 2)
    with pytest.raises(Unavailable, match="watched: messages wait and none is delivered"):
        scene.watch.check()
    scene.bus.state = ConsumerState("watched", pending=0, oldest_age_ms=0, dead=0, progress=10)
    await scene.looked()
    scene.watch.check()


CALM: list[Callable[[Scene], None]] = [
    lambda scene: setattr(scene, "at_work", True),
    lambda scene: setattr(scene.bus, "state", ConsumerState("watched", 3, 5000, 0, in_hand=3)),
    lambda scene: setattr(scene.bus, "state", ConsumerState("watched", 0, 0, 0)),
    lambda scene: setattr(scene.bus, "down", True),
]


@pytest.mark.parametrize("calm", CALM, ids=["a slow handler", "all in hand", "nothing waits", "the broker is away"])
async def test_a_durable_with_a_reason_to_stand_still_is_left_alone(calm: Callable[[Scene], None]) -> None:
    scene = Scene()
    calm(scene)
    task = asyncio.create_task(scene.watch.look())
    await scene.looked()
    scene.watch.check()
    assert scene.renewals == 0
    task.cancel()


async def test_what_moves_is_not_stuck() -> None:
    scene = Scene()
    original = scene.bus.backlog

    async def moving(consumption: Consumption) -> ConsumerState:
        state = await original(consumption)
        return ConsumerState("watched", 3, 5000, 0, progress=state.progress + scene.bus.looks)

    scene.bus.backlog = moving  # type: ignore[method-assign]
    task = asyncio.create_task(scene.watch.look())
    await scene.looked()
    assert scene.renewals == 0
    task.cancel()


async def test_a_broker_that_says_nothing_makes_the_process_unready(scene: Scene) -> None:
    """P59."""
    scene.silent_s = 60.0
    with pytest.raises(Unavailable, match="watched: nobody answers the subscription"):
        scene.watch.check()


async def test_lag_and_fill_are_metrics_and_a_stream_that_fills_is_logged(scene: Scene) -> None:
    scene.bus.state = ConsumerState("watched", pending=3, oldest_age_ms=5000, dead=2, in_hand=1, fill=0.61)
    with structlog.testing.capture_logs() as lines:
        await scene.looked()
    names = ("consumer_pending", "consumer_in_hand", "consumer_oldest_seconds", "dead_letters", "stream_fill_ratio")
    values = [REGISTRY.get_sample_value(f"aviary_mesh_{name}", {"durable": "watched"}) for name in names]
    assert values == [3, 1, 5, 2, 0.61]
    assert {"event": "stream_fills", "durable": "watched", "fill": 0.61, "log_level": "error"} in lines
