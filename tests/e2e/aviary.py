"""A running Aviary as a test sees it: real processes under the supervisor, people who use the REST API, and `settle`."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import websockets
from aviary.mesh.v1 import mesh_pb2
from grpc import aio

from ops import running
from ops.mesh import Mesh
from runtime.context import Caller, acting

API = "/api/v1"
PATIENCE_S = 90.0

_numbers = itertools.count(1)


class Aviary:
    """One stack of processes, started by `aviary up --detach` in its own home."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.faults = home / "faults"
        self.environment = {
            **os.environ,
            "AVIARY_HOME": str(home),
            "AVIARY_PORTS": "free",
            "AVIARY_FAULT_DIR": str(self.faults),
            "AVIARY_CASSANDRA_QUICK_COMPILER": "1",
            # Tests halt processes for a while and go on with them; the supervisor is to leave those alone.
            "AVIARY_UNIT_HUNG_S": "300",
            "AVIARY_OUTBOX_RELAY_AGES_S": "2,6,20",
            # So that a few followers are several writes of one job, and a test can kill it between them.
            "AVIARY_TIMELINE_ROWS_AT_ONCE": "2",
            # So that whoever is known to be away is said to be soon after a process began.
            "AVIARY_GRAPH_ACTIVITY_SETTLED_MS": "1000",
            **environment,
        }

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the `aviary` command in this home."""
        line = [sys.executable, "-m", "ops.cli", *words]
        return subprocess.run(line, env=self.environment, capture_output=True, text=True, check=False)

    def up(self) -> None:
        """Start everything; returns when it is ready."""
        self.faults.mkdir(parents=True, exist_ok=True)
        done = self.command("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        """Stop everything."""
        done = self.command("down")
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def running(self) -> running.Running:
        """What runs now."""
        return running.load(self.home)

    @property
    def url(self) -> str:
        """Where the edge listens."""
        assert self.running.http_url is not None
        return self.running.http_url

    def process(self, name: str) -> int:
        """The pid of a process."""
        pid = self.running.process(name).pid
        assert pid is not None, f"{name} does not run"
        return pid

    def arm(self, point: str, command: str = "") -> None:
        """Make the next process that passes the point die there (SIGKILL), or kill or stop another: `kill PID`, `stop PID`."""
        # Moved into place whole: an empty file would be a command too.
        new = self.home / "armed"
        new.write_text(f"0 {command}")
        new.rename(self.faults / point)

    async def fired(self, point: str) -> None:
        """Wait until a process died at the point."""
        await until(lambda: not (self.faults / point).exists(), f"nobody passed {point}")

    @contextmanager
    def hung(self, name: str) -> Iterator[None]:
        """While a process does not run, and does not end either."""
        pid = self.process(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def again(self, name: str, old_pid: int) -> None:
        """Wait until a process is ready with another pid."""

        def ready() -> bool:
            record = self.running.process(name)
            return record.pid != old_pid and record.state == "ready"

        await until(ready, f"{name} did not come back")

    async def back(self, name: str, old_pid: int) -> None:
        """Wait until a process runs again with another pid and everything is ready."""
        await self.again(name, old_pid)
        await self.ready()

    async def calm(self) -> None:
        """Disarm every point and let everything that was stopped go on, after a test that ended in its middle."""
        for armed in self.faults.iterdir():
            armed.unlink()
        for record in self.running.processes:
            if record.pid is not None:
                os.kill(record.pid, signal.SIGCONT)
        await self.ready()

    async def ready(self) -> None:
        """Wait until the edge and all that it needs say that they are ready."""
        async with httpx.AsyncClient() as client:
            await until_async(lambda: answers(client, f"{self.url}/readyz"), "the edge did not become ready")

    async def settle(self) -> None:
        """Wait until every outbox is empty and every consumer has handled all that was published."""
        async with Mesh(self.running.environment(), "tests") as mesh:
            await until_async(lambda: drained(mesh), "the backlog did not drain")

    def mesh(self) -> Mesh:
        """Stubs of the services, called as a service of the mesh; what is slow is asked again."""
        return Mesh(self.running.environment(), "tests", PATIENCE_S)

    @asynccontextmanager
    async def person(self, **options: Any) -> AsyncIterator["Person"]:
        """A newly registered person with a client of their own."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30, **options) as client:
            yield await Person.register(client)

    @asynccontextmanager
    async def people(self, count: int) -> AsyncIterator[list["Person"]]:
        """Several newly registered people."""
        clients = [httpx.AsyncClient(base_url=self.url, timeout=30) for _ in range(count)]
        try:
            yield [await Person.register(client) for client in clients]
        finally:
            for client in clients:
                await client.aclose()


class Person:
    """Somebody who is signed in."""

    def __init__(self, client: httpx.AsyncClient, answer: dict[str, Any], password: str) -> None:
        self.client = client
        self.user_id: str = answer["user"]["user_id"]
        self.username: str = answer["user"]["username"]
        self.token: str = answer["access_token"]
        self.refresh_token: str = answer["refresh_token"]
        self.password = password

    @classmethod
    async def register(cls, client: httpx.AsyncClient) -> "Person":
        """Register with a name that nobody has."""
        name = f"p{next(_numbers)}_{uuid.uuid4().hex[:8]}"
        body = {"username": name, "email": f"{name}@aviary.example", "password": f"pass-{name}"}
        answer = await client.post(f"{API}/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return cls(client, answer.json(), body["password"])

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request with the token."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return await self.client.request(method, API + path, headers=headers, **options)

    async def ok(self, method: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
        """A request that must succeed; its JSON."""
        answer = await self.request(method, path, **options)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        whole: dict[str, Any] = answer.json()
        return whole

    async def post(self, content: str, key: str | None = None) -> str:
        """Post a tweet; its id."""
        headers = {} if key is None else {"Idempotency-Key": key}
        tweet = await self.ok("POST", "/tweets", 201, json={"content": content}, headers=headers)
        return str(tweet["tweet_id"])

    async def delete(self, tweet_id: str) -> None:
        """Delete an own tweet."""
        await self.ok("DELETE", f"/tweets/{tweet_id}")

    async def follow(self, other: "Person") -> None:
        """Follow somebody."""
        await self.ok("POST", f"/users/{other.user_id}/follow")

    async def unfollow(self, other: "Person") -> None:
        """Follow somebody no longer."""
        await self.ok("DELETE", f"/users/{other.user_id}/follow")

    async def home(self, limit: int = 200) -> list[str]:
        """The whole home, page by page; ids as they came."""
        return await self.pages("/timeline/home", limit)

    async def timeline(self, other: "Person", limit: int = 200) -> list[str]:
        """The whole timeline of an author; ids as they came."""
        return await self.pages(f"/timeline/user/{other.user_id}", limit)

    async def pages(self, path: str, limit: int) -> list[str]:
        """Every tweet id of a list, following next_max_id to the end."""
        found: list[str] = []
        params: dict[str, Any] = {"limit": limit}
        while True:
            page = await self.ok("GET", path, params=params)
            found += [tweet["tweet_id"] for tweet in page["tweets"]]
            assert page["has_more"] == (page["next_max_id"] is not None)
            if not page["has_more"]:
                return found
            params["max_id"] = page["next_max_id"]

    @asynccontextmanager
    async def stream(self, **params: str) -> AsyncIterator["Stream"]:
        """A WebSocket that has said hello."""
        query = "".join(f"&{name}={value}" for name, value in params.items())
        base = str(self.client.base_url).rstrip("/").replace("http", "ws", 1)
        url = f"{base}{API}/stream?access_token={self.token}{query}"
        async with websockets.connect(url, subprotocols=[websockets.Subprotocol("aviary.v1")]) as socket:
            stream = Stream(socket)
            await stream.next("hello")
            yield stream


@asynccontextmanager
async def elsewhere(person: Person, url: str) -> AsyncIterator[Person]:
    """The same person at the other edge."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        there = Person(
            client,
            {
                "user": {"user_id": person.user_id, "username": person.username},
                "access_token": person.token,
                "refresh_token": "",
            },
            "",
        )
        yield there


class Stream:
    """An open stream."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def next(self, kind: str) -> dict[str, Any]:
        """The next message of a type; others are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] == kind:
                    return message


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Whether a URL answers 200 now."""
    try:
        return (await client.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


async def drained(mesh: Mesh) -> bool:
    """Whether nothing is on its way in any service."""
    try:
        with acting(Caller()):
            calls = [stub.GetBacklog(mesh_pb2.GetBacklogRequest(), timeout=5) for stub in mesh.backlogs.values()]
            backlogs = await asyncio.gather(*calls)
    except aio.AioRpcError:
        return False
    return all(b.outbox_rows == 0 and not any(c.pending for c in b.consumers) for b in backlogs)


async def until(condition: Callable[[], bool], failure: str) -> None:
    """Wait for a condition."""

    async def check() -> bool:
        return condition()

    await until_async(check, failure)


async def until_async(condition: Callable[[], Any], failure: str) -> None:
    """Wait for a condition that is asked asynchronously; fails with the text after a long time."""
    end = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < end, failure
        await asyncio.sleep(0.1)
