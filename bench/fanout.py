"""A delivery on its whole path, from the author's request to the last follower's home, over all processes of the stack."""

import asyncio
import time

import httpx

from bench import people, rows, windows
from bench.driver import warmed
from bench.figures import Ceiling, Row, each_us
from bench.orders import PostOrder
from bench.stage import NAMESPACE, Stage
from readers.recent import RecentWrites
from redis_client import connect_redis
from redis_client.line import Line
from runtime.ids import SystemClock, Uuid7Ids
from stack.ports import HOST
from svc_timeline.config import Limits
from svc_timeline.windows import RedisWindows

NAME = "Fan-out"
_PARTS = "bare LPUSHX and bare batch together"
_DELIVERIES = "aviary_timeline_deliveries_total"
_POLL_S = 0.1
_PATIENCE_S = 300.0
_TEXT = "What happens to this sentence a thousand times over is what is measured here."


async def run(stage: Stage) -> list[Row]:
    """The parts alone, then the whole path beside their ceilings together."""
    alone = [*await windows.run(stage), *await rows.run(stage)]
    ceiling = Ceiling(_PARTS, sum(row.ceiling.value for row in alone if row.ceiling))
    whole = [await _whole(stage, *size, ceiling) for size in stage.sizes.fanouts]
    return [*alone, *whole]


async def _whole(stage: Stage, followers: int, warm: int, posts: int, ceiling: Ceiling) -> Row:
    (author,) = await people.register(stage.client, 1)
    await _cached_windows(stage, await people.followers_of(stage, author.user_id, followers))
    order = PostOrder(HOST, stage.http_port, [author.token], [], [_TEXT], warm, posts, rate=0)
    # The author's own home is a delivery, too.
    each_post = followers + 1
    start = await _deliveries(stage)
    async with warmed(order) as load:
        await _delivered(stage, start + warm * each_post)
        before = stage.meter.cpu_s()
        await load.go()
        await _delivered(stage, start + (warm + posts) * each_post)
        used = stage.meter.since(before)
    each = each_us(used, posts * each_post)
    what = f"whole path, {followers:,} followers: CPU a delivery"
    return Row(NAME, what, "us", sum(each.values()), ceiling, parts=each)


async def _cached_windows(stage: Stage, users: list[bytes]) -> None:
    config = stage.config(NAMESPACE)
    redis, line = connect_redis(config), Line(config.redis_url)
    own = RedisWindows(line, NAMESPACE, RecentWrites(redis, NAMESPACE), Limits())
    await windows.make_windows(own, Uuid7Ids(SystemClock()), users, [])
    await line.aclose()
    await redis.aclose()


async def _delivered(stage: Stage, count: int) -> None:
    """Wait until svc_timeline has delivered so many in all. Raises TimeoutError."""
    end = time.monotonic() + _PATIENCE_S
    while (now := await _deliveries(stage)) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{now} deliveries instead of {count}")
        await asyncio.sleep(_POLL_S)


async def _deliveries(stage: Stage) -> int:
    port = stage.stack.process("svc_timeline").ports["metrics"]
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{HOST}:{port}/metrics")).raise_for_status().text
    values = [line.split()[1] for line in text.splitlines() if line.startswith(_DELIVERIES + " ")]
    return int(float(values[0]))
