"""Pushing an entry into cached windows, beside bare LPUSHX commands by redis-py; client and Redis counted together."""

import time
from collections.abc import Awaitable, Callable

from bench.cpu import Meter
from bench.figures import Ceiling, Row
from bench.stage import NAMESPACE, Stage
from readers.recent import RecentWrites
from redis_client import Redis, connect_redis
from redis_client.line import Line
from runtime.ids import Ids, SystemClock, Uuid7Ids
from stack import redis as redis_server
from svc_timeline.config import Limits
from svc_timeline.domain import NO_ID, Entry
from svc_timeline.windows import EVERYTHING, KEYS_A_CALL, RedisWindows

NAME = "Fan-out"
WHAT = "window alone: CPU a delivery"
_BARE = "LPUSHX of the same bytes in pipelines of 500"
_ENTRY_BYTES = 37


async def run(stage: Stage) -> list[Row]:
    """CPU of one push into a full window."""
    config = stage.config(f"{NAMESPACE}_push")
    redis, line = connect_redis(config), Line(config.redis_url)
    meter = stage.server_meter(redis_server.NAME)
    ids = Uuid7Ids(SystemClock())
    users = [ids.next().bytes for _ in range(stage.sizes.windows)]
    windows = RedisWindows(line, config.namespace, RecentWrites(redis, config.namespace), Limits())
    await make_windows(windows, ids, users, [Entry(ids.next().bytes, users[0]) for _ in range(Limits().window)])
    keys = [b"bare:" + user for user in users]
    await _bare_lists(redis, keys)

    async def push() -> None:
        await windows.push(users, Entry(ids.next().bytes, users[0]))

    async def bare() -> None:
        await _bare_push(redis, keys)

    await _cost(push, 2, meter)
    await _cost(bare, 2, meter)
    bare_s = await _cost(bare, stage.sizes.bare_window_rounds, meter)
    ours_s = await _cost(push, stage.sizes.window_rounds, meter)
    bare_us = sum(bare_s.values()) * 1e6 / (stage.sizes.bare_window_rounds * len(users))
    each = {name: spent * 1e6 / (stage.sizes.window_rounds * len(users)) for name, spent in ours_s.items()}
    await line.aclose()
    await redis.aclose()
    return [Row(NAME, WHAT, "us", sum(each.values()), Ceiling(_BARE, bare_us), parts=each)]


async def make_windows(windows: RedisWindows, ids: Ids, users: list[bytes], entries: list[Entry]) -> None:
    """Ready windows for all these users, holding the same entries."""
    newest_first = sorted(entries, reverse=True)
    for user in users:
        await windows.mark_building(user, ids.next().bytes)
        window = (await windows.look(user, EVERYTHING)).window
        if window is None or not await windows.replace(user, window, newest_first, NO_ID, ready=True):
            raise RuntimeError("a window that only this process knows was changed by another")


async def _cost(work: Callable[[], Awaitable[None]], rounds: int, meter: Meter) -> dict[str, float]:
    """Seconds of CPU that so many rounds take here and in the server."""
    before, own = meter.cpu_s(), time.process_time()
    for _ in range(rounds):
        await work()
    return {**meter.since(before), "client": time.process_time() - own}


async def _bare_lists(redis: Redis, keys: list[bytes]) -> None:
    for key in keys:
        await redis.rpush(key, *([bytes(_ENTRY_BYTES)] * Limits().window))


async def _bare_push(redis: Redis, keys: list[bytes]) -> None:
    value = bytes(_ENTRY_BYTES)
    for first in range(0, len(keys), KEYS_A_CALL):
        pipeline = redis.pipeline(transaction=False)
        for key in keys[first : first + KEYS_A_CALL]:
            pipeline.lpushx(key, value)
        await pipeline.execute()
