"""`aviary dlq` over a real NATS: what it says of dead letters, and to whom it hands them back."""

import asyncio
import dataclasses
import itertools
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import pytest
from aviary.timeline.v1.events_pb2 import FanoutChunk
from aviary.tweet.v1.events_pb2 import TweetCreated
from google.protobuf.message import Message

from ops.cli import main
from ordered import OrderedConsumer, Slice
from ordered.nats import NatsSource
from runtime.bus import Consumers, NatsBus, Poison, consumes
from runtime.config import MeshConfig
from runtime.context import acting, current_caller, new_trace
from tests.waiting import until

NUMBERS = itertools.count()


class Seen:
    """What handlers were given; the mended one takes what it refused before."""

    def __init__(self) -> None:
        self.mended = False
        self.refused: list[bytes] = []
        self.taken: list[bytes] = []
        self.beside: list[bytes] = []


async def refuse(event_id: bytes, seen: Seen) -> None:
    if not seen.mended:
        seen.refused.append(event_id)
        raise Poison("not yet mended")
    seen.taken.append(event_id)


@consumes(TweetCreated, durable="broken")
async def broken(event: TweetCreated, seen: Seen) -> None:
    await refuse(event.event_id, seen)


@consumes(FanoutChunk, durable="worker")
async def worker(job: FanoutChunk, seen: Seen) -> None:
    await refuse(job.event_id, seen)


@consumes(TweetCreated, durable="beside")
async def beside(event: TweetCreated, seen: Seen) -> None:
    seen.beside.append(event.event_id)


@pytest.fixture
def config(mesh_config: MeshConfig, monkeypatch: pytest.MonkeyPatch) -> MeshConfig:
    config = dataclasses.replace(mesh_config, namespace=f"{mesh_config.namespace}d{next(NUMBERS)}")
    monkeypatch.setenv("AVIARY_NATS_URL", config.nats_urls[0])
    monkeypatch.setenv("AVIARY_NAMESPACE", config.namespace)
    return config


@pytest.fixture
async def bus(config: MeshConfig) -> AsyncIterator[NatsBus]:
    bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated, FanoutChunk])
    yield bus
    for stream in await bus._js.streams_info():
        if config.namespace in (stream.config.name or ""):
            await bus._js.delete_stream(stream.config.name or "")
    await bus.close()


@pytest.fixture
async def start(bus: NatsBus) -> AsyncIterator[Callable[..., Consumers]]:
    tasks: list[asyncio.Task[None]] = []

    def start(handlers: Sequence[Callable[..., Awaitable[None]]], seen: Seen) -> Consumers:
        consumers = Consumers(bus, handlers, seen)
        tasks.append(asyncio.create_task(consumers.run()))
        return consumers

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def created() -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))


async def dlq(*words: str) -> int:
    """Run the command as a shell would."""
    return await asyncio.to_thread(main, ["dlq", *words])


async def letters(bus: NatsBus) -> int:
    return (await bus._js.stream_info(bus.streams.dead)).state.messages


async def have_letters(bus: NatsBus, count: int) -> bool:
    return await letters(bus) == count


async def test_letters_are_listed_and_shown_by_their_contract(
    bus: NatsBus, start: Callable[..., Consumers], capsys: pytest.CaptureFixture[str]
) -> None:
    start([broken], Seen())
    event, trace = created(), new_trace()
    with acting(current_caller(), trace=trace):
        await bus.publish(event, created())
    await until(lambda: have_letters(bus, 2))
    capsys.readouterr()
    assert await dlq("list") == 0
    listed = capsys.readouterr().out
    assert "broken: 2 dead letters" in listed
    assert "2 x Poison: not yet mended" in listed
    assert await dlq("list", "--json") == 0
    found = json.loads(capsys.readouterr().out)["broken"]
    pages = []
    for letter in found:
        assert await dlq("show", "broken", str(letter["letter"])) == 0
        pages.append(capsys.readouterr().out)
    (page,) = [p for p in pages if str(uuid.UUID(bytes=event.tweet_id)) in p]
    assert "aviary.tweet.v1.TweetCreated" in page
    assert "why: Poison: not yet mended" in page
    assert "published to: tweets.v1.created." in page
    assert f"trace: {trace}" in page


async def test_a_replay_reaches_its_durable_alone_and_then_the_letter_is_gone(
    bus: NatsBus, start: Callable[..., Consumers], capsys: pytest.CaptureFixture[str]
) -> None:
    """P79: the stream still remembers the id under which the message was published first."""
    seen, event = Seen(), created()
    overheard: list[bytes] = []

    async def hear(heard: TweetCreated) -> None:
        overheard.append(heard.event_id)

    await bus.listen(TweetCreated, hear)
    consumers = start([broken, beside], seen)
    await bus.publish(event)
    await until(lambda: have_letters(bus, 1))
    seen.mended = True
    assert await dlq("replay", "broken", "1") == 0
    assert "1 replayed" in capsys.readouterr().out
    await until(lambda: seen.taken == [event.event_id])
    await until(lambda: settled(consumers))
    assert seen.beside == [event.event_id]
    assert overheard == [event.event_id]
    assert await letters(bus) == 0


async def settled(consumers: Consumers) -> bool:
    return not any(state.pending or state.dead for state in await consumers.backlog())


async def test_a_job_is_replayed_and_all_letters_of_a_durable_at_once(
    bus: NatsBus, start: Callable[..., Consumers], capsys: pytest.CaptureFixture[str]
) -> None:
    seen, jobs = Seen(), [FanoutChunk(event_id=os.urandom(16), tweet_id=os.urandom(16)) for _ in range(5)]
    consumers = start([worker], seen)
    await bus.publish(*jobs)
    await until(lambda: have_letters(bus, 5))
    seen.mended = True
    assert await dlq("replay", "worker", "--all") == 0
    assert "5 replayed" in capsys.readouterr().out
    await until(lambda: sorted(seen.taken) == sorted(job.event_id for job in jobs))
    await until(lambda: settled(consumers))


async def test_what_fails_again_after_its_replay_is_set_aside_again(
    bus: NatsBus, start: Callable[..., Consumers]
) -> None:
    """P79, P80."""
    seen, event = Seen(), created()
    start([broken], seen)
    await bus.publish(event)
    await until(lambda: have_letters(bus, 1))
    for number in (1, 2):
        assert await dlq("replay", "broken", str(number)) == 0
        await until(lambda tries=number + 1: len(seen.refused) == tries)  # type: ignore[misc]
        await until(lambda: have_letters(bus, 1))
    seen.mended = True
    assert await dlq("replay", "broken", "3") == 0
    await until(lambda: seen.taken == [event.event_id])


async def test_a_letter_whose_replay_is_refused_is_kept(
    bus: NatsBus, config: MeshConfig, start: Callable[..., Consumers], capsys: pytest.CaptureFixture[str]
) -> None:
    start([broken], Seen())
    await bus.publish(created())
    await until(lambda: have_letters(bus, 1))
    found = (await bus._js.stream_info(f"{config.namespace}_tweets")).config
    await bus._js.update_stream(found.evolve(max_msgs=1))
    assert await dlq("replay", "broken", "1") == 1
    assert "refused letter 1" in capsys.readouterr().err
    assert await letters(bus) == 1


async def test_letters_of_a_durable_that_is_no_more_are_kept(
    bus: NatsBus, config: MeshConfig, start: Callable[..., Consumers], capsys: pytest.CaptureFixture[str]
) -> None:
    start([broken], Seen())
    await bus.publish(created())
    await until(lambda: have_letters(bus, 1))
    subject = (await bus._js.get_msg(bus.streams.dead, seq=1)).headers or {}
    await bus._js.publish(f"{config.namespace}.dead.gone", b"", headers={**subject, "Nats-Msg-Id": "other"})
    assert await dlq("replay", "gone", "2") == 1
    assert "nobody consumes tweets.v1.created." in capsys.readouterr().err
    assert await letters(bus) == 2


async def test_unknown_durables_and_letters_and_careless_orders_are_refused(
    bus: NatsBus, start: Callable[..., Consumers], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await dlq("list") == 0
    assert "no dead letters" in capsys.readouterr().out
    start([broken], Seen())
    await bus.publish(created())
    await until(lambda: have_letters(bus, 1))
    for words, said in (
        (("show", "nobody", "1"), "nobody has no dead letters; there are some of broken"),
        (("show", "broken", "7"), "broken has no dead letter 7"),
        (("replay", "broken"), "name the letters by their numbers, or say --all"),
        (("drop", "broken", "--all"), "say --yes"),
    ):
        assert await dlq(*words) == 1
        assert said in capsys.readouterr().err
    assert await letters(bus) == 1
    assert await dlq("drop", "broken", "--all", "--yes") == 0
    assert await letters(bus) == 0


async def test_a_server_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVIARY_NATS_URL", "nats://127.0.0.1:1")
    assert await dlq("list") == 1
    assert "no NATS server answers at nats://127.0.0.1:1" in capsys.readouterr().err


class Counting:
    """Ordered work that refuses until it is mended."""

    durable = "counting"
    messages: Sequence[type[Message]] = (TweetCreated,)

    def __init__(self) -> None:
        self.mended = False
        self.taken: list[tuple[bytes, int, int]] = []

    async def load(self, partition: int) -> int:
        return 0

    async def positions(self) -> Mapping[int, int]:
        return {}

    async def handle(self, piece: Slice) -> None:
        if piece.items and not self.mended:
            raise Poison("not yet mended")
        self.taken += [(item.event.event_id, item.at, item.place) for item in piece.items]


async def test_a_replayed_fact_keeps_the_place_that_orders_its_state_and_stands_at_another(
    bus: NatsBus, config: MeshConfig
) -> None:
    work, event = Counting(), created()
    task = asyncio.create_task(OrderedConsumer(bus, NatsSource(bus, 3), work).run())
    (first,) = await bus.publish(event)
    await until(lambda: have_letters(bus, 1))
    work.mended = True
    later = created()
    later.author_id = event.author_id
    await bus.publish(later)
    await until(lambda: [event_id for event_id, _, _ in work.taken] == [later.event_id])
    assert await dlq("replay", "counting", "1") == 0
    await until(lambda: len(work.taken) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert work.taken == [(later.event_id, first + 1, first + 1), (event.event_id, first, first + 2)]
