"""A message that a consumer sets aside: the alert, the audit, and the way back with `aviary dlq`."""

import asyncio
import json
from typing import NoReturn

import httpx
from aviary.tweet.v1.events_pb2 import TweetCreated

from runtime.bus import Consumers, NatsBus, Poison, consumes
from runtime.config import Env, MeshConfig
from tests.e2e.aviary import Aviary
from tests.waiting import until


@consumes(TweetCreated, durable="timeline-plan")
async def broken_plan(_event: TweetCreated, _deps: None) -> NoReturn:
    """As if a process of a broken version worked beside the others."""
    raise Poison("a broken version")


async def test_what_was_set_aside_alerts_and_a_replay_completes_the_homes(aviary: Aviary) -> None:
    """P79, P80."""
    environment = {**aviary.running.environment(), "AVIARY_TIMELINE_PORT": "0", "AVIARY_TIMELINE_METRICS_PORT": "0"}
    bus = await NatsBus.connect(MeshConfig.read("timeline", Env(environment)))
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        await aviary.settle()
        consumers = Consumers(bus, [broken_plan], None)
        task = asyncio.create_task(consumers.run())
        posted = [await alice.post("before")]

        async def set_aside() -> bool:
            posted.append(await alice.post("and one more"))
            (state,) = await consumers.backlog()
            return state.dead > 0

        await until(set_aside)
        # The version is mended: it takes part no more.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: alerted(aviary))
        broken = await asyncio.to_thread(aviary.command, "audit", "--json")
        assert broken.returncode == 1
        assert json.loads(broken.stdout)["dead_letters"] >= 1
        assert len(await bob.home()) < len(posted)

        listed = await asyncio.to_thread(aviary.command, "dlq", "list")
        assert "Poison: a broken version" in listed.stdout
        replayed = await asyncio.to_thread(aviary.command, "dlq", "replay", "timeline-plan", "--all")
        assert replayed.returncode == 0, replayed.stderr
        await aviary.settle()
        assert await bob.home() == list(reversed(posted))
        clean = await asyncio.to_thread(aviary.command, "audit", "--json")
        assert clean.returncode == 0, clean.stdout
    await bus.close()


async def alerted(aviary: Aviary) -> bool:
    """Whether the metric on which to alert says so."""
    port = aviary.running.process("svc_timeline").ports["metrics"]
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith('aviary_mesh_dead_letters{durable="timeline-plan"}')]
    return any(float(line.rpartition(" ")[2]) > 0 for line in lines)
