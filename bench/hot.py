"""What a tweet that everybody likes costs those who like others, beside a program of nobody's that uses as much of the machine."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import httpx
from aviary.engage.v1.events_pb2 import LikeSet
from prometheus_client.parser import text_string_to_metric_families

from bench.driver import Target, likes, stranger
from bench.figures import Ceiling, Row
from bench.orders import Latencies
from bench.scene import Scene
from bench.stage import NAMESPACE, Stage
from runtime.bus import NatsBus
from stack.ports import HOST

WRITES_AIM = 2.0
OTHERS_AIM = 1.5
_TURNS = 3
_BATCH = 50
_STRANGER = "the same beside a program of nobody's that uses as much CPU"

Ratio = Callable[[Latencies], float]


async def rows(name: str, stage: Stage, scene: Scene) -> list[Row]:
    """Turns without anything, with the tweet and with a stranger: medians of the ratios to the first, and what the tweet wrote."""
    sizes = stage.sizes
    hot_tweet = bytes.fromhex(scene.tweets[0].replace("-", ""))
    others = Scene(scene.likers, scene.tweets[1:], [])
    bus = await NatsBus.connect(stage.config(NAMESPACE))
    await bus.declare([LikeSet])
    turns = []
    for _ in range(_TURNS):
        quiet, idle_share = await _turn(stage, others, nullcontext())
        hot, share = await _turn(stage, others, _injected(bus, hot_tweet, sizes.hot_a_second))
        await stage.settle()
        strange, _ = await _turn(stage, others, stranger(max(0.0, share - idle_share)))
        turns.append((quiet, hot, strange))
    before, begun = await _writes(stage), time.perf_counter()
    async with _injected(bus, hot_tweet, sizes.hot_a_second):
        await asyncio.sleep(sizes.hot_turn_s)
    writes = (await _writes(stage) - before) / (time.perf_counter() - begun)
    await bus.close()
    beside = f"beside {sizes.hot_a_second} likes/s of one tweet"
    return [
        *(_others(name, f"{beside}: {which}", of, turns) for which, of in (("p50", _p50), ("p99", _p99))),
        Row(name, f"counts written for a tweet with {sizes.hot_a_second} likes/s", "a second", writes, aim=WRITES_AIM),
    ]


def _others(name: str, what: str, of: Ratio, turns: Sequence[tuple[Latencies, Latencies, Latencies]]) -> Row:
    times = statistics.median(of(hot) / of(quiet) for quiet, hot, _ in turns)
    least = statistics.median(of(strange) / of(quiet) for quiet, _, strange in turns)
    ceiling = Ceiling(_STRANGER, least)
    return Row(name, f"likes of other tweets {what} to that without", "x", times, ceiling, OTHERS_AIM)


def _p50(seen: Latencies) -> float:
    return seen.p50_ms


def _p99(seen: Latencies) -> float:
    return seen.p99_ms


async def _turn(stage: Stage, scene: Scene, beside: AbstractAsyncContextManager[None]) -> tuple[Latencies, float]:
    """What likes of other tweets took, and how much of one processor the stack and this process used meanwhile."""
    sizes = stage.sizes
    edge, rate = Target(HOST, stage.http_port, stage.meter), sizes.others_a_second
    order = scene.order(edge, round(rate * sizes.hot_turn_s), rate, watching=False)
    async with beside:
        here, began = time.process_time(), time.perf_counter()
        seen, used = await likes(order, edge.meter)
        share = (sum(used.values()) / sizes.hot_turn_s) + (time.process_time() - here) / (time.perf_counter() - began)
    return seen.likes, share


@asynccontextmanager
async def _injected(bus: NatsBus, tweet_id: bytes, a_second: int) -> AsyncIterator[None]:
    injecting = asyncio.create_task(_inject(bus, tweet_id, a_second))
    try:
        yield
        if injecting.done():
            await injecting
    finally:
        injecting.cancel()
        await asyncio.gather(injecting, return_exceptions=True)


async def _inject(bus: NatsBus, tweet_id: bytes, a_second: int) -> None:
    """Likes of ever new people at the bus, at a steady rate, until cancelled."""
    began, sent = time.perf_counter(), 0
    while True:
        some = [
            LikeSet(event_id=os.urandom(16), tweet_id=tweet_id, author_id=tweet_id, user_id=os.urandom(16), liked=True)
            for _ in range(_BATCH)
        ]
        for event in some:
            event.occurred_at.GetCurrentTime()
        await bus.publish(*some)
        sent += _BATCH
        await asyncio.sleep(max(0.0, began + sent / a_second - time.perf_counter()))


async def _writes(stage: Stage) -> float:
    """Counts of likes that svc_engage has written since it began."""
    port = stage.stack.process("svc_engage").ports["metrics"]
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{HOST}:{port}/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        s.value for s in samples if s.name == "aviary_engage_count_writes_total" and s.labels.get("kind") == "likes"
    )
