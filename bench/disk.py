"""Likes on a stack whose Cassandra acknowledges what is on the disk, as that of `make run`, beside what the disk alone takes for it."""

import asyncio
import os
import statistics
import tempfile
import time

from bench.figures import Ceiling, Row, percentile
from bench.scene import Scene
from bench.sizes import Sizes
from bench.stage import staged_on_disk

NAME = "Likes on the disk"
_TURNS = 3
_EVERY_S = 0.02
_BLOCK = bytes(4096)


async def run(sizes: Sizes) -> list[Row]:
    """Of three turns the median, and the disk before them, while nothing else uses it."""
    alone = await fdatasyncs_ms(sizes.fsyncs)
    async with staged_on_disk(sizes) as stage:
        scene = await Scene.set_up(stage)
        turns = [(await scene.liked(stage, sizes.likes_seconds))[0].likes for _ in range(_TURNS)]
    p50, p99 = percentile(alone, 0.50), percentile(alone, 0.99)
    block, rate = "4 KiB appended and fdatasync", f"at {sizes.likes_a_second:g} likes/s"
    return [
        Row(NAME, f"{block}, nothing else running: p50", "ms", p50),
        Row(NAME, f"{block}, nothing else running: p99", "ms", p99),
        Row(NAME, f"{block}, nothing else running: the longest", "ms", max(alone)),
        Row(NAME, f"accepted {rate}: p50", "ms", statistics.median(t.p50_ms for t in turns), Ceiling(block, p50)),
        Row(NAME, f"accepted {rate}: p99", "ms", statistics.median(t.p99_ms for t in turns), Ceiling(block, p99)),
    ]


async def fdatasyncs_ms(count: int) -> list[float]:
    """How long each of so many takes, one after the other with a pause between them."""
    taken = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(count):
            file.write(_BLOCK)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(_EVERY_S)
    return taken
