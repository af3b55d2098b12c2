"""Likes through the edge: how long an answer takes, how long until others see the count; and what one hot tweet costs everybody else."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from aviary.engage.v1.events_pb2 import LikeSet
from prometheus_client.parser import text_string_to_metric_families

from bench import people
from bench.driver import Target, bare_server, likes
from bench.figures import Ceiling, Row, each_us
from bench.orders import Liked, LikeOrder
from bench.stage import NAMESPACE, Stage
from runtime.bus import NatsBus
from stack.ports import HOST

NAME = "Likes"
ACCEPTED_AIM_MS = 40
VISIBLE_AIM_MS = 1500
WRITES_AIM = 2.0
OTHERS_AIM = 1.5
_TWEETS = 20
_TURNS = 3
_BARE = "a bare uvicorn answering the same requests, nothing stored"
_BATCH = 50


class Scene:
    """The people and tweets of a run."""

    def __init__(self, likers: list[people.Member], tweets: list[str], watched: list[str]) -> None:
        self.likers, self.tweets, self.watched = likers, tweets, watched

    @classmethod
    async def set_up(cls, stage: Stage) -> "Scene":
        """New people, one of whom posts everything, and likes until nothing gets quicker any more."""
        sizes = stage.sizes
        likers = await people.register(stage.client, sizes.likers)
        ids = [await _post(stage.client, likers[0].token, n) for n in range(_TWEETS + sizes.watched)]
        await stage.settle()
        scene = cls(likers, ids[:_TWEETS], ids[_TWEETS:])
        await scene.liked(stage, sizes.likes_warm_s)
        return scene

    async def liked(self, stage: Stage, seconds: float, *, watching: bool = False) -> tuple[Liked, dict[str, float]]:
        """Likes at the edge at the usual rate; what those who like saw, and the CPU seconds that were used meanwhile."""
        edge, rate = Target(HOST, stage.http_port, stage.meter), stage.sizes.likes_a_second
        return await likes(self.order(edge, round(rate * seconds), rate, watching=watching), edge.meter)

    def order(self, target: Target, count: int, rate: float, *, watching: bool) -> LikeOrder:
        """Likes of the tweets, and of those that are watched when somebody is to watch."""
        tokens = [liker.token for liker in self.likers]
        watched = self.watched if watching else []
        return LikeOrder(
            target.host, target.port, tokens, self.tweets, tokens[-1], watched, max(10, count // 4), count, rate
        )


async def run(stage: Stage) -> list[Row]:
    """Answers and visibility at a steady rate, of three turns the median, then the hot tweet in turns with quiet."""
    sizes = stage.sizes
    scene = await Scene.set_up(stage)
    count = round(sizes.likes_a_second * sizes.likes_seconds)
    a_second = sizes.likes_a_second
    turns = [await scene.liked(stage, sizes.likes_seconds, watching=not n) for n in range(_TURNS)]
    async with bare_server(b"{}") as bare:
        least, bare_used = await likes(scene.order(bare, count, a_second, watching=False), bare.meter)
    visible = turns[0][0].visible
    if visible is None:
        raise RuntimeError("nobody watched")
    accepted = [seen.likes for seen, _ in turns]
    used = {name: statistics.mean(turn[name] for _, turn in turns) for name in turns[0][1]}
    each, rate = each_us(used, count), f"at {a_second:g} likes/s"
    cpu = Ceiling(_BARE, sum(each_us(bare_used, count).values()))
    p50, p99 = Ceiling(_BARE, least.likes.p50_ms), Ceiling(_BARE, least.likes.p99_ms)
    return [
        Row(NAME, f"accepted {rate}: p50", "ms", statistics.median(seen.p50_ms for seen in accepted), p50),
        Row(
            NAME,
            f"accepted {rate}: p99",
            "ms",
            statistics.median(seen.p99_ms for seen in accepted),
            p99,
            ACCEPTED_AIM_MS,
        ),
        Row(NAME, f"like \N{RIGHTWARDS ARROW} count that others read {rate}: p50", "ms", visible.p50_ms),
        Row(
            NAME,
            f"like \N{RIGHTWARDS ARROW} count that others read {rate}: p99",
            "ms",
            visible.p99_ms,
            aim=VISIBLE_AIM_MS,
        ),
        Row(NAME, f"CPU a like {rate}", "us", sum(each.values()), cpu, parts=each),
        *await _hot(stage, scene),
    ]


async def _hot(stage: Stage, scene: Scene) -> list[Row]:
    """Turns with and without a tweet that everybody likes: medians of the ratios, and what the hot turns wrote."""
    sizes = stage.sizes
    edge = Target(HOST, stage.http_port, stage.meter)
    count, rate = round(sizes.others_a_second * sizes.hot_turn_s), sizes.others_a_second
    quiet, hot = [], []
    hot_tweet = bytes.fromhex(scene.tweets[0].replace("-", ""))
    others = Scene(scene.likers, scene.tweets[1:], [])
    bus = await NatsBus.connect(stage.config(NAMESPACE))
    await bus.declare([LikeSet])
    for _ in range(_TURNS):
        quiet.append((await likes(others.order(edge, count, rate, watching=False), edge.meter))[0].likes)
        async with _injected(bus, hot_tweet, sizes.hot_a_second):
            hot.append((await likes(others.order(edge, count, rate, watching=False), edge.meter))[0].likes)
        await stage.settle()
    before, begun = await _writes(stage), time.perf_counter()
    async with _injected(bus, hot_tweet, sizes.hot_a_second):
        await asyncio.sleep(sizes.hot_turn_s)
    writes = (await _writes(stage) - before) / (time.perf_counter() - begun)
    await bus.close()
    what = f"beside {sizes.hot_a_second} likes/s of one tweet"
    p50 = statistics.median(h.p50_ms / q.p50_ms for h, q in zip(hot, quiet, strict=True))
    p99 = statistics.median(h.p99_ms / q.p99_ms for h, q in zip(hot, quiet, strict=True))
    return [
        Row(NAME, f"likes of other tweets {what}: p50 to that without", "x", p50, aim=OTHERS_AIM),
        Row(NAME, f"likes of other tweets {what}: p99 to that without", "x", p99, aim=OTHERS_AIM),
        Row(NAME, f"counts written for a tweet with {sizes.hot_a_second} likes/s", "a second", writes, aim=WRITES_AIM),
    ]


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


async def _post(client: httpx.AsyncClient, token: str, number: int) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.post("/api/v1/tweets", json={"content": f"number {number}"}, headers=headers)
    return str(answer.raise_for_status().json()["tweet_id"])
