"""What Bus promises, sentence by sentence, in memory and over NATS."""

import asyncio
import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import grpc
import pytest
from aviary.timeline.v1.events_pb2 import FanoutChunk, HomeSignal
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal
from grpc import aio

from runtime.bus import Bus, Consumers, Envelope, NatsBus, Poison, consumes
from runtime.config import MeshConfig
from runtime.context import acting, current_caller, current_trace, new_trace
from runtime.errors import DeadlineExceeded, Unavailable
from simulation.bus import MemoryBus
from tests.waiting import until

Happening = Callable[["Seen"], Awaitable[None]]
NUMBERS = itertools.count()


class Seen:
    """What a handler was given, and what it shall do next."""

    def __init__(self, *script: Exception | None) -> None:
        self.ids: list[bytes] = []
        self.callers: list[str] = []
        self.traces: list[str] = []
        self._script = list(script)

    def take(self, event_id: bytes) -> None:
        """Note a delivery, then fail as the script says; after its end, succeed."""
        self.ids.append(event_id)
        self.callers.append(current_caller().service)
        self.traces.append(current_trace())
        if self._script and (error := self._script.pop(0)) is not None:
            raise error


@consumes(TweetCreated, durable="first", failures=3, backoff_s=0.01)
async def first(event: TweetCreated, seen: Seen) -> None:
    seen.take(event.event_id)


@consumes(TweetCreated, durable="second", failures=3, backoff_s=0.01)
async def second(event: TweetCreated, seen: Seen) -> None:
    seen.take(event.event_id)


@consumes(FanoutChunk, durable="worker", failures=3, backoff_s=0.01)
async def worker(job: FanoutChunk, seen: Seen) -> None:
    seen.take(job.event_id)


@consumes(TweetCreated, durable="grouped", failures=3, backoff_s=0.01)
async def grouped(event: TweetCreated, seen: Seen) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(raising(seen, event.event_id))


async def raising(seen: Seen, event_id: bytes) -> None:
    seen.take(event_id)


class World:
    """A bus of one kind and the consumers that run over it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, handlers: Sequence[Callable[..., Awaitable[None]]], seen: Seen) -> Consumers:
        """Run consumers until the test ends."""
        consumers = Consumers(self.bus, handlers, seen)
        self.tasks.append(asyncio.create_task(consumers.run()))
        return consumers

    async def close(self) -> None:
        """Stop what runs, and forget what the bus kept."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if isinstance(self.bus, NatsBus):
            await forget(self.bus)
        await self.bus.close()


async def forget(bus: NatsBus) -> None:
    """Delete the streams of the namespace: the server is shared by every run."""
    for stream in await bus._js.streams_info():
        name = stream.config.name or ""
        if name.startswith(f"{bus._namespace}_"):
            await bus._js.delete_stream(name)


@pytest.fixture(params=["memory", "nats"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    bus: Bus = MemoryBus()
    if request.param == "nats":
        config: MeshConfig = request.getfixturevalue("mesh_config")
        config = dataclasses.replace(config, namespace=f"{config.namespace}b{next(NUMBERS)}")
        bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated, TweetDeleted, FanoutChunk])
    world = World(bus)
    yield world
    await world.close()


def created() -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))


async def settled(consumers: Consumers) -> bool:
    return sum(state.pending for state in await consumers.backlog()) == 0


async def dead(consumers: Consumers) -> int:
    return sum(state.dead for state in await consumers.backlog())


async def test_every_event_reaches_its_handler(world: World) -> None:
    seen, events = Seen(), [created() for _ in range(300)]
    consumers = world.start([first], seen)
    await world.bus.publish(*events)
    await until(lambda: settled(consumers))
    assert Counter(seen.ids) == Counter(e.event_id for e in events)


async def test_an_event_published_before_its_consumer_existed_is_delivered(world: World) -> None:
    seen, event = Seen(), created()
    await world.bus.publish(event)
    world.start([first], seen)
    await until(lambda: seen.ids == [event.event_id])


async def test_other_events_of_the_family_do_not_reach_the_handler(world: World) -> None:
    seen, event = Seen(), created()
    await world.bus.publish(TweetDeleted(event_id=os.urandom(16), author_id=os.urandom(16)), event)
    consumers = world.start([first], seen)
    await until(lambda: len(seen.ids) == 1)
    await until(lambda: settled(consumers))
    assert seen.ids == [event.event_id]


async def test_the_same_event_published_again_is_stored_once(world: World) -> None:
    seen, event, last = Seen(), created(), created()
    await world.bus.publish(event)
    await world.bus.publish(event, event)
    await world.bus.publish(last)
    consumers = world.start([first], seen)
    await until(lambda: last.event_id in seen.ids)
    await until(lambda: settled(consumers))
    assert sorted(seen.ids) == sorted([event.event_id, last.event_id])


async def test_every_durable_gets_every_event(world: World) -> None:
    one, two, event = Seen(), Seen(), created()
    world.start([first], one)
    world.start([second], two)
    await world.bus.publish(event)
    await until(lambda: one.ids == two.ids == [event.event_id])


async def test_two_processes_share_a_durable(world: World) -> None:
    seen, events = Seen(), [created() for _ in range(100)]
    consumers = world.start([first], seen)
    world.start([first], seen)
    await world.bus.publish(*events)
    await until(lambda: len(seen.ids) >= 100)
    await until(lambda: settled(consumers))
    assert Counter(seen.ids) == Counter(e.event_id for e in events)


async def test_a_job_is_delivered_until_a_handler_returns(world: World) -> None:
    """P8, P79."""
    seen = Seen(RuntimeError("once"), RuntimeError("twice"))
    consumers = world.start([worker], seen)
    job = FanoutChunk(event_id=os.urandom(16), tweet_id=os.urandom(16))
    await world.bus.publish(job)
    await until(lambda: len(seen.ids) == 3)
    await until(lambda: settled(consumers))
    assert seen.ids == [job.event_id] * 3
    assert await dead(consumers) == 0


async def test_a_handler_that_always_raises_ends_in_the_dead_letters_and_others_go_on(world: World) -> None:
    """P80."""
    seen, bad, good = Seen(*[RuntimeError("no")] * 3), created(), created()
    consumers = world.start([first], seen)
    await world.bus.publish(bad)
    await until(lambda: is_dead(consumers))
    await world.bus.publish(good)
    await until(lambda: good.event_id in seen.ids)
    await until(lambda: settled(consumers))
    assert seen.ids == [bad.event_id] * 3 + [good.event_id]


async def is_dead(consumers: Consumers) -> bool:
    return await dead(consumers) == 1


async def test_failures_of_different_kinds_are_counted_apart(world: World) -> None:
    kinds = [RuntimeError("a"), ValueError("b"), RuntimeError("a"), ValueError("b")]
    seen = Seen(*kinds)
    consumers = world.start([first], seen)
    await world.bus.publish(created())
    await until(lambda: len(seen.ids) == 5)
    await until(lambda: settled(consumers))
    assert await dead(consumers) == 0


async def test_poison_is_set_aside_at_once(world: World) -> None:
    """P80."""
    seen = Seen(Poison("never"))
    consumers = world.start([first], seen)
    await world.bus.publish(created())
    await until(lambda: is_dead(consumers))
    await until(lambda: settled(consumers))
    assert len(seen.ids) == 1


async def test_a_message_that_cannot_be_parsed_is_set_aside(world: World) -> None:
    seen = Seen()
    consumers = world.start([first], seen)
    await world.bus.send([Envelope("tweets.v1.created.000", os.urandom(16), b"\xff\xff\xff")])
    await until(lambda: is_dead(consumers))
    assert seen.ids == []


def unreachable() -> aio.AioRpcError:
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "nobody there")


@pytest.mark.parametrize(
    "error", [Unavailable("down"), DeadlineExceeded("late"), unreachable()], ids=["down", "late", "rpc"]
)
async def test_infrastructure_errors_are_tried_for_ever(world: World, error: Exception) -> None:
    seen, event = Seen(*[error] * 5), created()
    consumers = world.start([first], seen)
    await world.bus.publish(event)
    await until(lambda: len(seen.ids) == 6)
    await until(lambda: settled(consumers))
    assert await dead(consumers) == 0


async def test_infrastructure_errors_within_a_task_group_are_not_counted(world: World) -> None:
    seen = Seen(*[Unavailable("down")] * 5)
    consumers = world.start([grouped], seen)
    await world.bus.publish(created())
    await until(lambda: len(seen.ids) == 6)
    await until(lambda: settled(consumers))
    assert await dead(consumers) == 0


async def test_a_handler_that_is_always_cancelled_from_within_fails_like_any_other(world: World) -> None:
    """Taken for an order to stop, it would come again for ever, or end the consumer."""
    seen, bad, good = Seen(), created(), created()
    take = seen.take

    def cancelled(event_id: bytes) -> None:
        if event_id == bad.event_id:
            raise asyncio.CancelledError
        take(event_id)

    seen.take = cancelled  # type: ignore[method-assign]
    consumers = world.start([first], seen)
    await world.bus.publish(bad, good)
    await until(lambda: seen.ids == [good.event_id])
    await until(lambda: is_dead(consumers))


async def test_a_handler_acts_as_its_service_within_the_trace_of_the_publisher(world: World) -> None:
    seen, trace = Seen(), new_trace()
    world.start([first], seen)
    with acting(current_caller(), trace=trace):
        await world.bus.publish(created())
    await until(lambda: len(seen.ids) == 1)
    assert seen.callers == ["test"]
    assert seen.traces == [trace]


async def test_the_backlog_counts_what_is_not_handled(world: World) -> None:
    seen = Seen()
    consumers = Consumers(world.bus, [first], seen)
    await world.bus.publish(created(), created())
    assert [(s.durable, s.pending, s.dead) for s in await consumers.backlog()] == [("first", 2, 0)]
    world.tasks.append(asyncio.create_task(consumers.run()))
    await until(lambda: settled(consumers))
    assert len(seen.ids) == 2


async def test_an_event_without_an_id_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="event_id"):
        await world.bus.publish(TweetCreated(author_id=os.urandom(16)))


async def test_a_signal_is_never_stored(world: World) -> None:
    with pytest.raises(ValueError, match="signal"):
        await world.bus.publish(HomeSignal(edge_id=os.urandom(16)))


async def test_a_signal_reaches_only_its_receiver_in_order(world: World) -> None:
    edge, other = os.urandom(16), os.urandom(16)
    mine: list[int] = []
    theirs: list[int] = []

    async def hear_mine(signal: HomeSignal) -> None:
        mine.append(signal.sequence)

    async def hear_theirs(signal: HomeSignal) -> None:
        theirs.append(signal.sequence)

    await world.bus.listen(HomeSignal, hear_mine, receiver=edge)
    await world.bus.listen(HomeSignal, hear_theirs, receiver=other)
    for sequence in range(20):
        await world.bus.signal(HomeSignal(edge_id=edge, sequence=sequence))
    await world.bus.signal(HomeSignal(edge_id=other, sequence=99))
    await until(lambda: len(mine) == 20 and len(theirs) == 1)
    assert mine == list(range(20))


async def test_a_signal_without_receiver_reaches_everybody_and_a_failing_listener_hears_the_next(world: World) -> None:
    heard: list[int] = []

    async def fail(signal: TweetStatusSignal) -> None:
        heard.append(signal.sequence)
        raise RuntimeError("listener")

    async def hear(signal: TweetStatusSignal) -> None:
        heard.append(signal.sequence)

    await world.bus.listen(TweetStatusSignal, fail)
    stop = await world.bus.listen(TweetStatusSignal, hear)
    await world.bus.signal(TweetStatusSignal(sequence=1))
    await until(lambda: heard == [1, 1])
    await stop()
    await world.bus.signal(TweetStatusSignal(sequence=2))
    await until(lambda: heard == [1, 1, 2])
    await world.bus.check()


async def test_a_fact_is_overheard_when_it_is_published_and_a_job_is_not(world: World) -> None:
    heard: list[bytes] = []

    async def hear(event: TweetCreated) -> None:
        heard.append(event.event_id)

    event = created()
    stop = await world.bus.listen(TweetCreated, hear)
    await world.bus.publish(event)
    await until(lambda: heard == [event.event_id])
    await stop()

    async def hear_job(_: FanoutChunk) -> None: ...

    with pytest.raises(ValueError, match="job"):
        await world.bus.listen(FanoutChunk, hear_job)
