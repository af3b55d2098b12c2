"""Likes through the edge: how long an answer takes, how long until others see the count; and what one hot tweet costs everybody else."""

import statistics

from bench import hot
from bench.driver import bare_server, likes
from bench.figures import Ceiling, Row, each_us
from bench.scene import Scene
from bench.stage import Stage

NAME = "Likes"
ACCEPTED_AIM_MS = 40
VISIBLE_AIM_MS = 1500
_TURNS = 3
_BARE = "a bare uvicorn answering the same requests, nothing stored"


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
        *await hot.rows(NAME, stage, scene),
    ]
