"""What only a real NATS shows: dead-letter headers, slow handlers, full streams, several processes, and a broker that dies."""

import asyncio
import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aviary.timeline.v1.events_pb2 import FanoutChunk, HomeSignal
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted
from nats.aio.msg import Msg
from nats.js.api import DiscardPolicy, RetentionPolicy
from prometheus_client import REGISTRY

from runtime.bus import Consumers, NatsBus, Poison, consumes
from runtime.bus.streams import created_us
from runtime.config import MeshConfig
from runtime.errors import Unavailable
from stack import nats as nats_server
from stack.ports import pick_free
from stack.process import Child
from tests.proxy import proxy_before
from tests.waiting import until

NUMBERS = itertools.count()


class Seen:
    """What a handler was given; it returns when the gate is open."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()


@consumes(TweetCreated, durable="reader", backoff_s=0.01)
async def reader(event: TweetCreated, seen: Seen) -> None:
    seen.ids.append(event.event_id)


@consumes(TweetCreated, durable="slow", ack_wait_s=1.0)
async def slow(event: TweetCreated, seen: Seen) -> None:
    seen.ids.append(event.event_id)
    await seen.gate.wait()


@consumes(TweetCreated, durable="narrow", concurrency=2)
async def narrow(event: TweetCreated, seen: Seen) -> None:
    seen.ids.append(event.event_id)
    await seen.gate.wait()


@consumes(TweetCreated, durable="refuser")
async def refuser(event: TweetCreated, seen: Seen) -> None:
    raise Poison("no tweet of ours", tweet_id=event.tweet_id.hex())


def created() -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))


@pytest.fixture
def config(mesh_config: MeshConfig) -> MeshConfig:
    return dataclasses.replace(mesh_config, namespace=f"{mesh_config.namespace}n{next(NUMBERS)}")


@pytest.fixture
async def bus(config: MeshConfig) -> AsyncIterator[NatsBus]:
    bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated])
    yield bus
    for stream in await bus._js.streams_info():
        if (stream.config.name or "").startswith(f"{config.namespace}_"):
            await bus._js.delete_stream(stream.config.name or "")
    await bus.close()


class Broker:
    """A NATS server of this test alone, so that it can be killed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, http_port = pick_free(2)
        self._program = nats_server.program(home, self.port, http_port)
        self._child: Child | None = None

    def start(self) -> None:
        """Start, or start again with what was stored."""
        self._child = Child.start(self._program)
        self._child.wait_ready()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._child is not None
        self._child.kill()

    def stop(self) -> None:
        """End it with the test."""
        if self._child is not None:
            self._child.stop()

    def lose_everything(self) -> None:
        """Delete what it stored, while it is dead."""
        shutil.rmtree(self.home / nats_server.NAME / "data")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def private(broker: Broker, config: MeshConfig) -> AsyncIterator[NatsBus]:
    own = dataclasses.replace(config, nats_urls=(f"nats://127.0.0.1:{broker.port}",))
    bus = await NatsBus.connect(own)
    await bus.declare([TweetCreated])
    yield bus
    await bus.close()


async def running(consumers: Consumers) -> asyncio.Task[None]:
    return asyncio.create_task(consumers.run())


async def test_streams_refuse_when_full_and_jobs_are_work_queues(bus: NatsBus, config: MeshConfig) -> None:
    await bus.declare([FanoutChunk])
    facts = (await bus._js.stream_info(f"{config.namespace}_tweets")).config
    jobs = (await bus._js.stream_info(f"{config.namespace}_timeline-updates_jobs")).config
    assert facts.subjects == [f"{config.namespace}.tweets.v1.created.*", f"{config.namespace}.tweets.v1.deleted.*"]
    assert jobs.subjects == [f"{config.namespace}.timeline-updates.v1.chunk.*"]
    assert (facts.retention, facts.discard, facts.max_age) == (RetentionPolicy.LIMITS, DiscardPolicy.NEW, 7 * 86400)
    assert (jobs.retention, jobs.discard) == (RetentionPolicy.WORK_QUEUE, DiscardPolicy.NEW)


async def test_processes_that_declare_at_once_agree(config: MeshConfig, bus: NatsBus) -> None:
    others = [await NatsBus.connect(config) for _ in range(4)]
    await asyncio.gather(*(other.declare([TweetCreated, TweetDeleted, FanoutChunk]) for other in others))
    seen = Seen()
    tasks = [await running(Consumers(other, [reader], seen)) for other in others]
    events = [created() for _ in range(40)]
    await asyncio.gather(*(other.publish(*events[n::4]) for n, other in enumerate(others)))
    await until(lambda: sorted(seen.ids) == sorted(e.event_id for e in events))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for other in others:
        await other.close()


async def test_subjects_that_a_newer_process_declared_are_kept(bus: NatsBus, config: MeshConfig) -> None:
    found = (await bus._js.stream_info(f"{config.namespace}_tweets")).config
    newer = f"{config.namespace}.tweets.v1.newer.*"
    await bus._js.update_stream(found.evolve(subjects=[*(found.subjects or ()), newer]))
    await bus.declare([TweetCreated])
    assert newer in ((await bus._js.stream_info(f"{config.namespace}_tweets")).config.subjects or ())


async def test_a_dead_letter_says_why_where_from_and_for_whom(bus: NatsBus, config: MeshConfig) -> None:
    event = created()
    task = await running(Consumers(bus, [refuser], Seen()))
    await bus.publish(event)
    subject = f"{config.namespace}.dead.refuser"
    await until(lambda: has_messages(bus, f"{config.namespace}_dead"))
    message = await bus._js.get_last_msg(f"{config.namespace}_dead", subject)
    task.cancel()
    assert message.data == event.SerializeToString()
    headers = message.headers or {}
    assert headers["aviary-why"] == "Poison: no tweet of ours"
    assert headers["aviary-durable"] == "refuser"
    assert headers["aviary-subject"].startswith("tweets.v1.created.")


async def has_messages(bus: NatsBus, stream: str) -> bool:
    return (await bus._js.stream_info(stream)).state.messages > 0


async def test_a_handler_slower_than_the_ack_wait_keeps_its_message(bus: NatsBus) -> None:
    """P78."""
    seen = Seen()
    seen.gate.clear()
    signs: list[bytes] = []

    async def answered(msg: Msg) -> None:
        signs.append(msg.data)

    await bus._client.subscribe("$JS.ACK.*.slow.>", cb=answered)
    await bus._client.flush()
    consumers = Consumers(bus, [slow], seen)
    task = await running(consumers)
    event = created()
    await bus.publish(event)
    # Six signs of life, half a second apart, are three times the ack_wait.
    await until(lambda: signs.count(Msg.Ack.Progress) >= 6)
    seen.gate.set()
    await until(lambda: Msg.Ack.Ack in signs)
    task.cancel()
    assert seen.ids == [event.event_id]


async def test_no_more_handlers_run_at_once_than_declared_and_the_rest_is_delivered_later(bus: NatsBus) -> None:
    seen = Seen()
    seen.gate.clear()
    consumers = Consumers(bus, [narrow], seen)
    task = await running(consumers)
    await bus.publish(*(created() for _ in range(50)))
    await until(lambda: len(seen.ids) == 2)
    await bus.check()
    assert len(seen.ids) == 2
    seen.gate.set()
    await until(lambda: len(seen.ids) == 50)
    task.cancel()


async def test_a_process_that_stops_gives_its_messages_to_the_others_at_once(bus: NatsBus) -> None:
    stopped, other = Seen(), Seen()
    stopped.gate.clear()
    task = await running(Consumers(bus, [narrow], stopped))
    events = [created() for _ in range(8)]
    await bus.publish(*events)
    await until(lambda: len(stopped.ids) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # Sooner than the 30 s of ack_wait, or the patience of `until` would not be what this test is about.
    second = await running(Consumers(bus, [narrow], other))
    await until(lambda: sorted(other.ids) == sorted(e.event_id for e in events), patience_s=20)
    second.cancel()


async def test_a_full_stream_refuses(config: MeshConfig, bus: NatsBus) -> None:
    small = await NatsBus.connect(dataclasses.replace(config, nats_stream_messages=2))
    await small.declare([TweetCreated])
    await small.publish(created(), created())
    with pytest.raises(Unavailable, match="refused"):
        await small.publish(created())
    await small.close()


async def test_a_full_stream_of_jobs_loses_nothing(config: MeshConfig, bus: NatsBus) -> None:
    """The message whose jobs are refused comes again, and its handler publishes the same jobs until there is room."""
    small = await NatsBus.connect(dataclasses.replace(config, nats_stream_messages=3))
    await small.declare([FanoutChunk])
    jobs = f"{config.namespace}_timeline-updates_jobs"
    full = [FanoutChunk(event_id=os.urandom(16), tweet_id=os.urandom(16)) for _ in range(3)]
    await small.publish(*full)
    events, refusals = [created(), created()], Seen()

    @consumes(TweetCreated, durable="planner")
    async def planner(event: TweetCreated, seen: Seen) -> None:
        try:
            await small.publish(FanoutChunk(event_id=event.event_id, tweet_id=event.tweet_id))
        except Unavailable:
            seen.ids.append(event.event_id)
            raise

    consumers = Consumers(bus, [planner], refusals)
    task = await running(consumers)
    await bus.publish(*events)
    await until(lambda: len(refusals.ids) >= 3)
    await bus._js.purge_stream(jobs)
    await until(lambda: settled(consumers))
    found = [await bus._js.get_msg(jobs, seq=n) for n in (4, 5)]
    assert {FanoutChunk.FromString(m.data or b"").event_id for m in found} == {e.event_id for e in events}
    assert [state.dead for state in await consumers.backlog()] == [0]
    task.cancel()
    await small.close()


async def settled(consumers: Consumers) -> bool:
    return not any(state.pending for state in await consumers.backlog())


@consumes(TweetCreated, durable="picky", failures=1)
async def picky(event: TweetCreated, seen: Seen) -> None:
    if event.tweet_id == b"poison":
        raise Poison("not this one")
    seen.ids.append(event.event_id)


async def test_a_full_dead_letter_stream_stops_nobody_and_takes_the_message_when_it_has_room(
    config: MeshConfig, bus: NatsBus
) -> None:
    """P80."""
    found = (await bus._js.stream_info(bus.streams.dead)).config
    await bus._js.update_stream(found.evolve(max_msgs=1))
    seen = Seen()
    consumers = Consumers(bus, [picky], seen)
    task = await running(consumers)
    bad = [TweetCreated(event_id=os.urandom(16), tweet_id=b"poison", author_id=b"a" * 16) for _ in range(2)]
    full = REGISTRY.get_sample_value
    labels = {"event": "tweets.v1.created", "outcome": "full"}
    before = full("aviary_mesh_events_total", labels) or 0
    await bus.publish(*bad)
    await until(lambda: (full("aviary_mesh_events_total", labels) or 0) > before)
    good = [created() for _ in range(50)]
    await bus.publish(*good)
    await until(lambda: sorted(seen.ids) == sorted(e.event_id for e in good))

    async def only_the_refused_one_is_left() -> bool:
        # Handlers are done a moment before the broker has heard of it.
        (state,) = await consumers.backlog()
        return (state.pending, state.dead, state.fill) == (1, 1, 1.0)

    await until(only_the_refused_one_is_left)
    await bus._js.update_stream(found)
    await until(lambda: settled(consumers))
    (state,) = await consumers.backlog()
    assert state.dead == 2
    task.cancel()


async def test_a_consumer_that_stands_still_is_subscribed_anew_and_if_that_is_vain_the_process_is_not_ready(
    config: MeshConfig, bus: NatsBus
) -> None:
    """P59, P81: the broker answers, and holds messages back from a consumer that asks for them."""
    seen = Seen()
    consumers = Consumers(bus, [reader], seen, look_s=0.2, stuck_s=0.5)
    task = await running(consumers)
    before, after = created(), created()
    await bus.publish(before)
    await until(lambda: seen.ids == [before.event_id])
    await pause(bus, config, datetime.now(UTC) + timedelta(hours=1))
    await bus.publish(after)
    await until(lambda: unhealthy(consumers))
    assert (REGISTRY.get_sample_value("aviary_mesh_consumer_stuck_total", {"durable": "reader"}) or 0) >= 2
    await pause(bus, config, datetime.now(UTC))
    await until(lambda: seen.ids == [before.event_id, after.event_id])
    await until(lambda: healthy(consumers))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def pause(bus: NatsBus, config: MeshConfig, end: datetime) -> None:
    body = json.dumps({"pause_until": end.isoformat()}).encode()
    subject = f"$JS.API.CONSUMER.PAUSE.{config.namespace}_tweets.reader"
    assert "error" not in json.loads((await bus._client.request(subject, body)).data)


async def unhealthy(consumers: Consumers) -> bool:
    return not await healthy(consumers)


async def healthy(consumers: Consumers) -> bool:
    try:
        await consumers.check()
    except Unavailable:
        return False
    return True


async def test_a_subscription_that_the_broker_forgot_is_made_again(bus: NatsBus) -> None:
    """P59."""
    seen = Seen()
    task = await running(Consumers(bus, [reader], seen))
    before, after = created(), created()
    await bus.publish(before)
    await until(lambda: seen.ids == [before.event_id])
    (pull,) = [s for s in bus._client._subs.values() if getattr(s._cb, "__name__", "") == "_received"]
    await bus._client._send_unsubscribe(pull._id)
    await bus.publish(after)
    await until(lambda: seen.ids == [before.event_id, after.event_id])
    task.cancel()


async def test_a_connection_whose_other_end_is_silently_gone_is_replaced(broker: Broker, config: MeshConfig) -> None:
    """P59: nothing is refused and nothing answers; readiness says so, and events flow when the network is back."""
    async with proxy_before(broker.port) as proxy:
        bus = await NatsBus.connect(dataclasses.replace(config, nats_urls=(f"nats://127.0.0.1:{proxy.port}",)))
        await bus.declare([TweetCreated])
        seen = Seen()
        task = await running(Consumers(bus, [reader], seen))
        before, after = created(), created()
        await bus.publish(before)
        await until(lambda: seen.ids == [before.event_id])
        proxy.freeze()
        with pytest.raises(Unavailable):
            await bus.check()
        await until(lambda: not bus._client.is_connected)
        await proxy.cut()
        await proxy.mend()
        await until(lambda: accepted(bus, after))
        await until(lambda: after.event_id in seen.ids)
        await bus.check()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()


async def test_the_backlog_knows_the_age_of_the_oldest_message(bus: NatsBus) -> None:
    consumers = Consumers(bus, [reader], Seen())
    await bus.publish(created())

    async def aged() -> bool:
        (state,) = await consumers.backlog()
        return state.pending == 1 and state.oldest_age_ms > 0

    await until(aged)


async def test_a_broker_that_is_away_makes_publishing_unavailable_in_bounded_time(
    private: NatsBus, broker: Broker
) -> None:
    await private.check()
    broker.kill()
    async with asyncio.timeout(15):
        with pytest.raises(Unavailable):
            await private.publish(created())
        with pytest.raises(Unavailable):
            await private.check()
        with pytest.raises(Unavailable):
            await private.signal(HomeSignal(edge_id=os.urandom(16)))


@pytest.mark.parametrize("keeps", [True, False], ids=["with its store", "emptied"])
async def test_after_a_broker_was_killed_events_and_signals_flow_again(
    private: NatsBus, broker: Broker, keeps: bool
) -> None:
    """P59."""
    seen, heard = Seen(), Seen()

    async def hear(signal: HomeSignal) -> None:
        heard.ids.append(signal.tweet_id)

    edge = os.urandom(16)
    await private.listen(HomeSignal, hear, receiver=edge)
    task = await running(Consumers(private, [reader], seen))
    before = created()
    await private.publish(before)
    await until(lambda: seen.ids == [before.event_id])

    broker.kill()
    if not keeps:
        broker.lose_everything()
    broker.start()
    after = created()
    await until(lambda: accepted(private, after))
    await until(lambda: after.event_id in seen.ids, patience_s=10)
    await private.signal(HomeSignal(edge_id=edge, tweet_id=b"t" * 16))
    await until(lambda: heard.ids == [b"t" * 16])
    await private.check()
    task.cancel()


async def test_a_publisher_alone_makes_the_streams_again_that_a_broker_lost(private: NatsBus, broker: Broker) -> None:
    await private.publish(created())
    broker.kill()
    broker.lose_everything()
    broker.start()
    event = created()
    await until(lambda: accepted(private, event))


async def accepted(bus: NatsBus, event: TweetCreated) -> bool:
    """Whether a publisher that tries again for ever has got through."""
    try:
        await bus.publish(event)
    except Unavailable:
        return False
    return True


async def test_a_process_that_starts_before_its_broker_waits_for_it(config: MeshConfig, tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    own = dataclasses.replace(config, nats_urls=(f"nats://127.0.0.1:{broker.port}",))
    with pytest.raises(Unavailable, match="no NATS server answers"):
        await NatsBus.connect(own, patience_s=0.3)
    connecting = asyncio.create_task(NatsBus.connect(own))
    await asyncio.sleep(0)
    try:
        await asyncio.to_thread(broker.start)
        bus = await connecting
        await bus.check()
        await bus.close()
    finally:
        broker.stop()


async def test_caches_overhear_facts_and_learn_of_a_reconnect(private: NatsBus, broker: Broker) -> None:
    overheard: list[bytes] = []
    reconnected: list[bool] = []

    async def hear(event: TweetCreated) -> None:
        overheard.append(event.event_id)

    await private.listen(TweetCreated, hear)
    private.on_reconnected(lambda: reconnected.append(True))
    event = created()
    await private.publish(event)
    await until(lambda: overheard == [event.event_id])
    broker.kill()
    broker.start()
    await until(lambda: reconnected == [True], patience_s=20)
    after = created()
    await until(lambda: accepted(private, after))
    await until(lambda: after.event_id in overheard)


async def test_places_grow_also_when_somebody_else_made_the_stream_again(bus: NatsBus, config: MeshConfig) -> None:
    """P54: a place that is too small would let an older state win."""
    other = await NatsBus.connect(config)
    stream = f"{config.namespace}_tweets"
    before = await bus.publish(created(), created())
    await other._js.delete_stream(stream)
    await other.declare([TweetCreated])
    event, info = created(), await bus._js.stream_info(stream)

    async def known() -> bool:
        return await bus.publish(event) == [created_us(info) + 1]

    await until(known)
    assert created_us(info) + 1 > max(before)
    assert await other.publish(event) == [created_us(info) + 1]
    await other.close()
