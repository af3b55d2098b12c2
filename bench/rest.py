"""What a stack costs that does nothing: its start, its memory, its CPU. What it costs to use it is the other benchmarks' part."""

import asyncio

from bench.cpu import Meter
from bench.figures import Ceiling, Row
from bench.stage import Stage
from stack import cassandra, nats, redis

NAME = "At rest, fresh"
AFTER = "At rest, after this run"
START_AIM_S = 60
MEMORY_AIM_MIB = 1536
_SERVERS = (cassandra.NAME, nats.NAME, redis.NAME)
_SERVERS_ALONE = "the three servers without our processes"


async def run(stage: Stage) -> list[Row]:
    """Start, then memory and CPU of the fresh stack."""
    before = stage.meter.cpu_s()
    await asyncio.sleep(stage.sizes.rest_s)
    each = {name: 1000 * spent / stage.sizes.rest_s for name, spent in stage.meter.since(before).items() if spent}
    servers = sum(each.get(name, 0.0) for name in _SERVERS)
    start = Row(
        NAME,
        "start, everything fetched",
        "s",
        stage.start_s,
        Ceiling(_SERVERS_ALONE, stage.servers_start_s),
        START_AIM_S,
    )
    cpu = Row(NAME, "CPU a second", "ms", sum(each.values()), Ceiling(_SERVERS_ALONE, servers), parts=each)
    return [start, memory(stage.meter, NAME, "memory"), cpu]


async def after(stage: Stage) -> list[Row]:
    """Memory when all that was to be measured is over."""
    return [memory(stage.meter, AFTER, "memory")]


def memory(meter: Meter, name: str, what: str) -> Row:
    """Memory of all processes, beside that of the servers among them."""
    each = meter.memory_mib()
    servers = sum(each[server] for server in _SERVERS)
    return Row(name, what, "MiB", sum(each.values()), Ceiling(_SERVERS_ALONE, servers), MEMORY_AIM_MIB, parts=each)
