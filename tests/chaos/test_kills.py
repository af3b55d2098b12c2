"""Promises 1, 2 and 7 hold when a process or a server is killed at its worst moment: afterwards the audit is clean."""

import asyncio
import json
import os
import signal
import uuid

import httpx
import pytest

from tests.e2e.aviary import API, Aviary, Person, until_async


async def post_until_answered(author: Person, content: str) -> str:
    """Post with one key, as a client does that repeats until it has an answer."""
    key = uuid.uuid4().hex
    found: list[str] = []

    async def answered() -> bool:
        try:
            answer = await author.request(
                "POST", "/tweets", json={"content": content}, headers={"Idempotency-Key": key}
            )
        except httpx.HTTPError:
            return False
        assert answer.status_code in (201, 503, 504), answer.text
        if answer.status_code == 201:
            found.append(answer.json()["tweet_id"])
        return bool(found)

    await until_async(answered, "the tweet was never accepted")
    return found[0]


async def audited(aviary: Aviary) -> None:
    """Every home is right once everything that was accepted has arrived."""
    await aviary.settle()
    done = await asyncio.to_thread(aviary.command, "audit", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["clean"]


@pytest.mark.parametrize("point", ["tweet.create.after_claim", "tweet.create.after_batch"])
async def test_a_tweet_service_killed_while_creating_loses_and_doubles_nothing(aviary: Aviary, point: str) -> None:
    """Promise 1 and 7: the client repeats, and the tweet is there once, in its author's timeline and the follower's home."""
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        await aviary.settle()
        pid = aviary.process("svc_tweet")
        aviary.arm(point)
        tweet = await post_until_answered(alice, "survives")
        await aviary.fired(point)
        await aviary.back("svc_tweet", pid)
        await audited(aviary)
        assert await alice.timeline(alice) == [tweet]
        assert await bob.home() == [tweet]


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


async def test_a_delete_cut_off_after_its_batch_is_finished(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        tweet = await alice.post("to be deleted")
        await aviary.settle()
        pid = aviary.process("svc_tweet")
        aviary.arm("tweet.delete.after_batch")
        answer = await alice.request("DELETE", f"/tweets/{tweet}")
        assert answer.status_code in (200, 503, 504)
        await aviary.fired("tweet.delete.after_batch")
        await aviary.back("svc_tweet", pid)
        await audited(aviary)
        assert await bob.home() == []


@pytest.mark.parametrize(
    "point",
    ["timeline.plan.after_jobs", "timeline.chunk.middle", "timeline.chunk.after_stored", "timeline.chunk.before_ack"],
)
async def test_a_fan_out_worker_killed_in_its_work_leaves_every_home_with_one_entry(aviary: Aviary, point: str) -> None:
    """P8 and P9: nobody misses the tweet, nobody has it twice."""
    async with aviary.people(4) as (alice, *followers):
        for follower in followers:
            await follower.follow(alice)
            await follower.home()  # a cached window, so that both the stored and the hot home are hit
        await aviary.settle()
        pid = aviary.process("svc_timeline")
        aviary.arm(point)
        tweet = await alice.post("interrupted")
        await aviary.fired(point)
        await aviary.back("svc_timeline", pid)
        await audited(aviary)
        for reader in (alice, *followers):
            assert await reader.home() == [tweet]


async def test_a_reader_whose_rebuild_was_cut_off_reads_a_right_home(aviary: Aviary) -> None:
    """P6: a window left half-built is never served."""
    async with aviary.people(2) as (alice, bob):
        tweets = [await alice.post(f"before {i}") for i in range(3)]
        await bob.follow(alice)
        await aviary.settle()
        pid = aviary.process("svc_timeline")
        aviary.arm("timeline.rebuild.after_mark")
        await bob.request("GET", "/timeline/home")
        await aviary.fired("timeline.rebuild.after_mark")
        await aviary.back("svc_timeline", pid)
        tweets.append(await alice.post("after"))
        await audited(aviary)
        assert await bob.home() == tweets[::-1]


async def test_a_follow_cut_off_after_its_batch_is_whole(aviary: Aviary) -> None:
    async with aviary.people(2) as (alice, bob):
        tweet = await alice.post("before")
        await aviary.settle()
        pid = aviary.process("svc_graph")
        aviary.arm("graph.follow.after_batch")
        await bob.request("POST", f"/users/{alice.user_id}/follow")
        await aviary.fired("graph.follow.after_batch")
        await aviary.back("svc_graph", pid)
        await audited(aviary)
        assert await bob.home() == [tweet]


@pytest.mark.parametrize("point", ["user.register.after_claims", "user.register.after_batch"])
async def test_a_registration_cut_off_leaves_no_half_made_account(aviary: Aviary, point: str) -> None:
    """Either the account is there and its login works, or nobody can log in and nothing shows it."""
    name = uuid.uuid4().hex[:12]
    body = {"username": name, "email": f"{name}@aviary.example", "password": "long enough 7"}
    pid = aviary.process("svc_user")
    aviary.arm(point)
    async with httpx.AsyncClient(base_url=aviary.url, timeout=30) as client:
        assert (await client.post(f"{API}/auth/register", json=body)).status_code in (503, 504)
        await aviary.back("svc_user", pid)
        login = await client.post(f"{API}/auth/login", json={"login": name, "password": body["password"]})
        shown = await client.get(f"{API}/users/by/username/{name}")
        assert (login.status_code, shown.status_code) in ((200, 200), (401, 404))


@pytest.mark.parametrize("server", ["nats", "redis", "cassandra"])
async def test_a_killed_server_loses_nothing_that_was_accepted(aviary: Aviary, server: str) -> None:
    """Promise 1 and 2; Redis comes back empty, and every home is read as before."""
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        tweets = [await alice.post(f"before {i}") for i in range(3)]
        assert len(await bob.home()) <= 3
        pid = aviary.process(server)
        os.kill(pid, signal.SIGKILL)
        tweets += [await post_until_answered(alice, f"meanwhile {i}") for i in range(5)]
        await aviary.back(server, pid)
        tweets.append(await post_until_answered(alice, "after"))
        await audited(aviary)
        assert await alice.timeline(alice) == tweets[::-1]
        assert await bob.home() == tweets[::-1]


async def test_a_silent_broker_turns_readiness_red_by_name_and_back(aviary: Aviary) -> None:
    """P59: posting still works, because the outbox keeps what cannot be published."""
    async with aviary.people(2) as (alice, bob), httpx.AsyncClient() as client:
        await bob.follow(alice)
        await aviary.settle()
        nats = aviary.process("nats")
        os.kill(nats, signal.SIGSTOP)
        try:
            await until_async(lambda: names(client, f"{aviary.url}/readyz", "nats"), "/readyz did not name NATS")
            tweet = await post_until_answered(alice, "while the broker is silent")
            assert await alice.timeline(alice) == [tweet]
        finally:
            os.kill(nats, signal.SIGCONT)
        await aviary.ready()
        await audited(aviary)
        assert await bob.home() == [tweet]


@pytest.mark.parametrize("service", ["svc_user", "svc_graph", "svc_tweet", "svc_timeline"])
async def test_a_service_that_hangs_is_503_or_504_and_comes_back_without_a_restart(
    aviary: Aviary, service: str
) -> None:
    paths = {
        "svc_user": "/users/me",
        "svc_graph": "/users/{}/followers",
        "svc_tweet": "/timeline/user/{}",
        "svc_timeline": "/timeline/home",
    }
    async with aviary.people(2) as (alice, bob):
        await bob.follow(alice)
        await alice.post("there")
        await aviary.settle()
        pid = aviary.process(service)
        os.kill(pid, signal.SIGSTOP)
        try:
            answer = await bob.request("GET", paths[service].format(alice.user_id))
            assert answer.status_code in (503, 504)
            assert answer.status_code == 504 or "retry-after" in answer.headers
        finally:
            os.kill(pid, signal.SIGCONT)
        await aviary.ready()
        await bob.ok("GET", paths[service].format(alice.user_id))
        assert aviary.process(service) == pid


async def names(client: httpx.AsyncClient, url: str, dependency: str) -> bool:
    """Whether /readyz is red and names the dependency."""
    answer = await client.get(url, timeout=10)
    return answer.status_code == 503 and any(dependency in name for name in answer.json()["failing"])
