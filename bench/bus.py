"""What the bus costs: an event in its consumer beside a bare pull of the same messages, and a relay that has nothing to do."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

from aviary.tweet.v1.events_pb2 import TweetCreated
from nats.js.api import ConsumerConfig

import svc_tweet
from bench.figures import Ceiling, Row
from bench.stage import NAMESPACE, Stage
from cql_client import Cql
from outbox import CqlOutboxTable, Outbox
from runtime.bus import Consumers, NatsBus, consumes
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock
from stack import cassandra as cassandra_server

NAME = "The bus"
AIM_EVENT_US = 60.0
AIM_RELAY_PERCENT = 1.0
_BATCH = 100
_BARE = "the same messages by bare nats-py: fetch(100), ack"
_RELAYS = 10
_SCHEMA = Path(svc_tweet.__file__).parent / "schema"
_TWEETS = f"{NAMESPACE}_bus"


class Counted:
    """How many events the handler has yet to see."""

    def __init__(self, events: int) -> None:
        self.left = events
        self.done = asyncio.Event()


# Four times as many are fetched ahead as are at work: requests of 100.
@consumes(TweetCreated, durable="bench", concurrency=_BATCH // 4)
async def count(_event: TweetCreated, seen: Counted) -> None:
    """A replay is counted again, which harms nobody."""
    seen.left -= 1
    if seen.left == 0:
        seen.done.set()


async def run(stage: Stage) -> list[Row]:
    """CPU of this process alone: one event, one relay at rest."""
    return [await _consumer(stage), await _relay(stage)]


async def _consumer(stage: Stage) -> Row:
    """The median turn of each. The two take turns, so that other programs hit both."""
    bus = await NatsBus.connect(stage.config(_TWEETS))
    await bus.declare([TweetCreated])
    stream = f"{_TWEETS}_tweets"
    await bus.streams.js.add_consumer(stream, ConsumerConfig(durable_name="bare"))
    turns = [await _turn(bus, stream, stage.sizes.events) for _ in range(stage.sizes.event_turns)]
    await bus.streams.js.delete_stream(stream)
    await bus.close()
    ours, bare = (sorted(column)[len(turns) // 2] for column in zip(*turns, strict=True))
    return Row(NAME, "an event in a consumer, batches of 100", "us", ours, Ceiling(_BARE, bare), AIM_EVENT_US)


async def _turn(bus: NatsBus, stream: str, events: int) -> tuple[float, float]:
    """Microseconds of an event, ours and bare, over the same messages."""
    for first in range(0, events, 500):
        some = range(min(500, events - first))
        await bus.publish(*(TweetCreated(event_id=os.urandom(16), author_id=os.urandom(16)) for _ in some))
    seen = Counted(events)
    begun = time.process_time()
    task = asyncio.create_task(Consumers(bus, [count], seen).run())
    await seen.done.wait()
    await bus.check()
    ours = time.process_time() - begun
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    subscription = await bus.streams.js.pull_subscribe_bind("bare", stream=stream)
    begun, taken = time.process_time(), 0
    while taken < events:
        messages = await subscription.fetch(_BATCH)
        for message in messages:
            await message.ack()
        taken += len(messages)
    await bus.check()
    bare = time.process_time() - begun
    await subscription.unsubscribe()
    return ours * 1e6 / events, bare * 1e6 / events


async def _relay(stage: Stage) -> Row:
    """Ten relays over empty tables beside none, in percent of a core for one of them."""
    clock = SystemClock()
    config = replace(stage.config(_TWEETS, "tweet"), outbox_relay_ages_s=(15, 60, 900))
    bus, cql = await NatsBus.connect(config), await Cql.connect(config, _SCHEMA)
    meter = stage.server_meter(cassandra_server.NAME)

    async def spent(relays: int) -> dict[str, float]:
        boxes = [Outbox(CqlOutboxTable(cql, clock), bus, clock, NO_FAULTS, (15, 60, 900)) for _ in range(relays)]
        tasks = [asyncio.create_task(box.relay()) for box in boxes]
        # The first pass reads everything since the tables were made; a relay at rest does not.
        await asyncio.sleep(1)
        before, own = meter.cpu_s(), time.process_time()
        await asyncio.sleep(stage.sizes.rest_s)
        used = {**meter.since(before), "its process": time.process_time() - own}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return used

    without, with_ten = await spent(0), await spent(_RELAYS)
    await cql.close()
    await bus.close()
    share = 100 / (stage.sizes.rest_s * _RELAYS)
    each = {name: max(0.0, (with_ten[name] - without[name]) * share) for name in with_ten}
    return Row(NAME, "a relay at rest: of a core", "%", sum(each.values()), aim=AIM_RELAY_PERCENT, parts=each)
