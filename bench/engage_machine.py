"""What counting an event costs: decoded and summed, taken from the stream, and with its row kept in Cassandra; nothing else of likes."""

import asyncio
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace

from aviary.engage.v1.events_pb2 import LikeSet
from nats.js.api import AckPolicy, ConsumerConfig

from bench.figures import Ceiling, Row
from bench.stage import NAMESPACE, Stage
from cql_client import Cql
from ordered import Item, OrderedConsumer
from ordered.nats import NatsSource
from runtime.bus import NatsBus
from runtime.bus.envelope import PARTITIONS
from runtime.ids import SystemClock
from svc_engage.cache.memory import MemoryCountCache
from svc_engage.counting import Machine, Rounds, Teller
from svc_engage.counting.changes import LOGS
from svc_engage.counting.sums import Summing
from svc_engage.domain.levels import Levels
from svc_engage.store import EngageStore
from svc_engage.store_cql import SCHEMA, CqlEngageStore
from svc_engage.store_memory import MemoryEngageStore

NAME = "Counting"
AIM_SUM_US = 20.0
AIM_ROWS_US = 200.0
_TWEETS = 100
_BATCH = 500
_BARE = "the same messages by bare nats-py: fetch(500), no acks"
_MACHINE = f"{NAMESPACE}_counting"
# The rows of the lists are the requests' work: only where one broke off the machine writes them.
_LIKES = replace(LOGS[0], state_of=None)


async def run(stage: Stage) -> list[Row]:
    """CPU of this process alone, by event."""
    events = _events(5 * stage.sizes.events)
    summed = min(_summed(events) for _ in range(stage.sizes.event_turns))
    bus = await NatsBus.connect(stage.config(_MACHINE))
    await bus.declare([LikeSet])
    ends: dict[int, int] = {}
    for first in range(0, len(events), _BATCH):
        some = events[first : first + _BATCH]
        for event, place in zip(some, await bus.publish(*some), strict=True):
            ends[zlib.crc32(event.tweet_id) % PARTITIONS] = place
    bare = min([await _bare(bus, len(events)) for _ in range(stage.sizes.event_turns)])
    cql = await Cql.connect(stage.config(_MACHINE, "engage"), SCHEMA)
    store = CqlEngageStore(cql, SystemClock())
    memory = await _counted(bus, "memory", MemoryEngageStore(), ends, len(events))
    rows = await _counted(bus, "rows", store, ends, len(events))
    await bus.streams.js.delete_stream(f"{_MACHINE}_engagements")
    await cql.close()
    await bus.close()
    ceiling = Ceiling(_BARE, bare)
    return [
        Row(NAME, "an event decoded and summed", "us", summed, ceiling, AIM_SUM_US),
        Row(NAME, "an event taken and counted, store in memory", "us", memory, ceiling),
        Row(NAME, "an event taken and counted, with its row in Cassandra", "us", rows, ceiling, AIM_ROWS_US),
    ]


def _events(count: int) -> list[LikeSet]:
    tweets, author = [os.urandom(16) for _ in range(_TWEETS)], os.urandom(16)
    now_ms = SystemClock().now_ms()
    events = []
    for number in range(count):
        event = LikeSet(event_id=os.urandom(16), author_id=author, user_id=os.urandom(16), liked=number % 5 > 0)
        event.tweet_id = tweets[number % _TWEETS]
        event.occurred_at.FromMilliseconds(now_ms)
        events.append(event)
    return events


def _summed(events: list[LikeSet]) -> float:
    payloads, levels = [event.SerializeToString() for event in events], Levels()
    begun = time.process_time()
    for first in range(0, len(payloads), _BATCH):
        some = enumerate(payloads[first : first + _BATCH], start=first + 1)
        changes = [_LIKES.change_of(Item(LikeSet.FromString(payload), place, place)) for place, payload in some]
        summing = Summing({}, {}, levels)
        summing.add(changes)
        summing.sums(first + _BATCH)
    return (time.process_time() - begun) * 1e6 / len(payloads)


async def _bare(bus: NatsBus, events: int) -> float:
    stream, name = f"{_MACHINE}_engagements", f"bare{os.urandom(4).hex()}"
    config = ConsumerConfig(durable_name=name, ack_policy=AckPolicy.NONE)
    await bus.streams.js.add_consumer(stream, config)
    subscription = await bus.streams.js.pull_subscribe_bind(name, stream=stream)
    begun, taken = time.process_time(), 0
    while taken < events:
        taken += len(await subscription.fetch(_BATCH))
    used = time.process_time() - begun
    await subscription.unsubscribe()
    return used * 1e6 / events


async def _counted(bus: NatsBus, name: str, store: EngageStore, ends: Mapping[int, int], events: int) -> float:
    """Of an owner of everything who begins with the first event; taking the partitions over is a small part of it."""
    clock = SystemClock()
    rounds = Rounds(store, Teller(MemoryCountCache(clock), bus), clock)
    machine = Machine(replace(_LIKES, durable=f"bench-{name}"), store, rounds)
    task = asyncio.create_task(OrderedConsumer(bus, NatsSource(bus), machine).run())

    def all_counted() -> bool:
        found = [(machine.memory(number), end) for number, end in ends.items()]
        return all(memory is not None and memory.counted >= end for memory, end in found)

    begun = time.process_time()
    while not all_counted():  # noqa: ASYNC110  # a machine tells nobody, and twenty looks a second cost nothing
        await asyncio.sleep(0.05)
    used = time.process_time() - begun
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await rounds.close()
    return used * 1e6 / events
