"""Warm homes of 20 and of 200 tweets through the edge, beside a bare uvicorn that answers the same bytes to the same clients."""

from bench import people
from bench.driver import Target, bare_server, reads
from bench.figures import Ceiling, Row, each_us
from bench.orders import Latencies, ReadOrder
from bench.people import Member
from bench.stage import Stage
from stack.ports import HOST

NAME = "Warm home"
PAGES = (20, 200)
AIM_US = {20: 2000.0}
_BARE = "a bare uvicorn answering the same bytes"
_PATH = "/api/v1/timeline/home?limit="


async def run(stage: Stage) -> list[Row]:
    """CPU of all processes for one read, and what clients see, for each page size and number of clients."""
    readers = await people.register(stage.client, stage.sizes.readers)
    await people.fill_homes(stage, readers)
    rows = []
    for page in PAGES:
        path = f"{_PATH}{page}"
        token = {"Authorization": f"Bearer {readers[0].token}", "Accept-Encoding": "identity"}
        answer = (await stage.client.get(path, headers=token)).raise_for_status()
        if len(answer.json()["tweets"]) != page:
            raise RuntimeError(f"a home holds fewer than {page} tweets")
        async with bare_server(answer.content) as bare:
            for clients in stage.sizes.clients:
                rows += await _beside(stage, readers, path, clients, bare, page)
    return rows


async def _beside(stage: Stage, readers: list[Member], path: str, clients: int, bare: Target, page: int) -> list[Row]:
    edge = Target(HOST, stage.http_port, stage.meter)
    seen, used = await _read(stage, readers, path, clients, edge)
    least, bare_used = await _read(stage, readers, path, clients, bare)
    what = f"home of {page}, {clients} client{'s' if clients > 1 else ''}"
    bare_us = sum(each_us(bare_used, least.count).values())
    each = each_us(used, seen.count)
    cpu = Row(NAME, f"{what}: CPU a read", "us", sum(each.values()), Ceiling(_BARE, bare_us), AIM_US.get(page), each)
    pairs = (("p50", seen.p50_ms, least.p50_ms), ("p95", seen.p95_ms, least.p95_ms), ("p99", seen.p99_ms, least.p99_ms))
    return [cpu, *(Row(NAME, f"{what}: {p}", "ms", ours, Ceiling(_BARE, bares)) for p, ours, bares in pairs)]


async def _read(
    stage: Stage, readers: list[Member], path: str, clients: int, target: Target
) -> tuple[Latencies, dict[str, float]]:
    tokens = [reader.token for reader in readers]
    sizes = stage.sizes
    order = ReadOrder(target.host, target.port, path, tokens, clients, sizes.warm_s, sizes.read_s)
    return await reads(order, target.meter)
