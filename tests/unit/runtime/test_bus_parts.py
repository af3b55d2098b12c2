"""The parts of bus and outbox that need no server: envelopes, declarations, the memory bus by itself, the backlog rpc."""

import os

import pytest
from aviary.mesh.v1 import mesh_pb2
from aviary.timeline.v1.events_pb2 import FanoutChunk, HomeSignal
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal

from backlog import Backlog
from runtime.bus import Consumers, consumes, envelope_of
from runtime.bus.envelope import listening_subject, siblings, signal_subject, stream_name
from runtime.contract import event
from runtime.errors import Unavailable
from runtime.ids import SystemClock
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox


class Deps:
    """What handlers below do and note."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus
        self.down = False
        self.handled: list[bytes] = []


@consumes(TweetCreated, durable="plan")
async def plan(created: TweetCreated, deps: Deps) -> None:
    """Publishing the same job again is harmless: the stream drops it."""
    if deps.down:
        raise Unavailable("a dependency")
    await deps.bus.publish(FanoutChunk(event_id=created.event_id, tweet_id=created.tweet_id))


@consumes(FanoutChunk, durable="work")
async def work(job: FanoutChunk, deps: Deps) -> None:
    deps.handled.append(job.event_id)


def created() -> TweetCreated:
    return TweetCreated(event_id=os.urandom(16), tweet_id=os.urandom(16), author_id=os.urandom(16))


def test_a_partition_never_changes() -> None:
    """Written down once: an ordered consumer would lose its order if these moved."""
    author = bytes.fromhex("0192a6b8c0007abc8def0123456789ab")
    assert envelope_of(TweetCreated(event_id=b"e", author_id=author)).subject == "tweets.v1.created.252"
    assert envelope_of(TweetDeleted(event_id=b"e", author_id=author)).subject == "tweets.v1.deleted.252"


def test_facts_and_jobs_have_streams_and_signals_have_receivers() -> None:
    assert stream_name(event(TweetCreated)) == "tweets"
    assert stream_name(event(FanoutChunk)) == "timeline-updates_jobs"
    assert signal_subject(HomeSignal(edge_id=b"\x01\xff")) == "timeline-updates.v1.live.01ff"
    assert signal_subject(TweetStatusSignal()) == "tweets.v1.status.all"
    with pytest.raises(ValueError, match="job"):
        listening_subject(event(FanoutChunk), b"")


def test_a_stream_holds_all_facts_of_its_family_and_no_signals() -> None:
    assert {e.name for e in siblings(event(TweetCreated))} == {"created", "deleted"}


def test_a_handler_that_is_not_declared_is_refused() -> None:
    async def handler(created: TweetCreated, deps: Deps) -> None:
        """Not decorated."""

    with pytest.raises(TypeError, match="not decorated"):
        Consumers(MemoryBus(), [handler], None)


async def test_settling_delivers_what_handlers_publish_too() -> None:
    bus = MemoryBus()
    deps = Deps(bus)
    Consumers(bus, [plan, work], deps)
    event = created()
    await bus.publish(event)
    await bus.settle()
    assert deps.handled == [event.event_id]


async def test_settling_ends_while_a_dependency_is_down_and_the_next_one_tries_again() -> None:
    bus = MemoryBus()
    deps = Deps(bus)
    consumers = Consumers(bus, [plan, work], deps)
    deps.down = True
    await bus.publish(created())
    await bus.settle()
    assert deps.handled == []
    assert [s.pending for s in await consumers.backlog()] == [1, 0]
    deps.down = False
    await bus.settle()
    assert len(deps.handled) == 1


async def test_a_memory_bus_that_is_down_refuses_everything() -> None:
    bus = MemoryBus()
    bus.down = True
    with pytest.raises(Unavailable):
        await bus.publish(created())
    with pytest.raises(Unavailable):
        await bus.signal(TweetStatusSignal())
    with pytest.raises(Unavailable):
        await bus.check()


async def test_the_backlog_adds_up_outboxes_and_consumers() -> None:
    bus = MemoryBus()
    deps = Deps(bus)
    deps.down = True
    outbox, consumers = MemoryOutbox(bus, SystemClock()), Consumers(bus, [plan, work], deps)
    backlog = Backlog([outbox], [consumers])
    outbox.write(created())
    await bus.publish(created(), created())
    answer = await backlog.GetBacklog(mesh_pb2.GetBacklogRequest(), None)  # type: ignore[arg-type]  # not looked at
    assert answer.outbox_rows == 1
    assert {c.durable: c.pending for c in answer.consumers} == {"plan": 2, "work": 0}
    assert answer.dead_letters == 0
