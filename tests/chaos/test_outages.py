"""What the matrix has no place for: a write that nobody repeats, two losses at once, and readiness that names what is away."""

import asyncio
import json
import os
import signal
import uuid
from collections import Counter

import httpx
from aviary.timeline.v1.timeline_pb2 import GetHomeRequest

from runtime.context import acting
from tests.e2e.aviary import Aviary, Person, until, until_async


async def audited(aviary: Aviary) -> None:
    """Every home is right once everything that was accepted has arrived."""
    await aviary.settle()
    done = await asyncio.to_thread(aviary.command, "audit", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["clean"]


async def test_a_tweet_stored_but_never_announced_is_announced_by_the_relay(aviary: Aviary) -> None:
    """Promise 1: nobody repeats the request; the row in the outbox is enough."""
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        await aviary.settle()
        pid = aviary.process("svc_tweet")
        aviary.arm("tweet.create.after_batch")
        answer = await alice.request("POST", "/tweets", json={"content": "stored, then silence"})
        assert answer.status_code in (503, 504)
        await aviary.back("svc_tweet", pid)
        await audited(aviary)
        stored = await alice.timeline(alice)
        assert len(stored) == 1
        assert await bob.home() == stored


async def test_what_redis_forgot_of_own_writes_is_known_to_be_forgotten_when_its_reader_died_with_it(
    aviary: Aviary,
) -> None:
    """Promise 5: the edge asks the stores then, whatever its caches say; a new svc_timeline must not vouch for an empty Redis."""
    async with aviary.people(2) as (alice, bob), aviary.mesh() as mesh:
        await bob.follow(alice)
        tweet = await alice.post("seen until unfollowed")
        await aviary.settle()
        assert await bob.home() == [tweet]
        await bob.unfollow(alice)
        pids = {name: aviary.process(name) for name in ("redis", "svc_timeline")}
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        for name, pid in pids.items():
            await aviary.back(name, pid)
        reader = uuid.UUID(bob.user_id).bytes
        with acting(mesh.acting_for(reader)):
            assert (await mesh.timelines.GetHome(GetHomeRequest(user_id=reader, limit=1))).recent_unknown
        assert await bob.home() == []


async def test_a_silent_broker_turns_readiness_red_by_name_and_back(aviary: Aviary) -> None:
    """P59: posting still works, because the outbox keeps what cannot be published."""
    async with aviary.people(2) as (alice, bob), httpx.AsyncClient() as client:
        await bob.follow(alice)
        await aviary.settle()
        with aviary.hung("nats"):
            await until_async(lambda: names(client, f"{aviary.url}/readyz", "nats"), "/readyz did not name NATS")
            tweet = await alice.post("while the broker is silent")
            assert await alice.timeline(alice) == [tweet]
        await aviary.ready()
        await audited(aviary)
        assert await bob.home() == [tweet]


async def test_likes_while_broker_and_database_are_gone_count_once(aviary: Aviary) -> None:
    """Promises 3 and 7: people go on liking and unliking, repeat what is refused, and all is counted as it was answered last."""
    async with aviary.people(3) as (alice, *likers):
        tweet = await alice.post("liked through an outage")
        await aviary.settle()
        refused: Counter[str] = Counter()
        over = asyncio.Event()

        async def change_minds(person: Person) -> None:
            liked = False
            while not over.is_set() or not refused[person.username]:
                wanted = not liked
                answer = await person.request("POST" if wanted else "DELETE", f"/tweets/{tweet}/like")
                assert answer.status_code in (200, 503, 504), answer.text
                liked = wanted if answer.status_code == 200 else liked
                refused[person.username] += answer.status_code != 200

            async def likes() -> bool:
                return (await person.request("POST", f"/tweets/{tweet}/like")).status_code == 200

            await until_async(likes, "a like is refused though everything is back")

        async with asyncio.TaskGroup() as group:
            for person in likers:
                group.create_task(change_minds(person))
            with aviary.hung("nats"), aviary.hung("cassandra"):
                await until(lambda: all(refused[p.username] > 1 for p in likers), "nobody was refused")
            over.set()
        await aviary.ready()
        await aviary.settle()
        shown = await alice.ok("GET", f"/tweets/{tweet}")
        assert (shown["likes_count"], shown["liked"]) == (len(likers), False)
        done = await asyncio.to_thread(aviary.command, "audit", "--counts", "--json")
        assert done.returncode == 0, done.stdout + done.stderr


async def names(client: httpx.AsyncClient, url: str, dependency: str) -> bool:
    """Whether /readyz is red and names the dependency."""
    answer = await client.get(url, timeout=10)
    return answer.status_code == 503 and any(dependency in name for name in answer.json()["failing"])
