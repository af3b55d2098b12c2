"""A stack with people on it whose promises are remembered, and the look at everything once all is delivered. Faults are the scenarios'."""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from aviary.engage.v1 import engage_pb2

from bench import people
from bench.people import Silent
from bench.soak.traffic import PAUSE_S, Traffic
from bench.stage import settled, started
from ops import running
from ops.mesh import Mesh
from ops.running import Running
from ops.seed.importer import import_follows
from runtime.context import Caller, acting
from runtime.ids import split_ids
from stack.ports import HOST

_DAY_S = 24 * 3600
_AUTHORS = 4
_READERS = 6
_PATIENCE_S = 120.0
_POLL_S = 0.1
_AUDITS = 5


@dataclass(frozen=True)
class World:
    """A running stack: four authors, and six readers who follow them all."""

    environment: Mapping[str, str]
    traffic: Traffic
    mesh: Mesh
    client: httpx.AsyncClient
    """To the edge."""

    @property
    def stack(self) -> Running:
        """As it is now."""
        return running.load(Path(self.environment["AVIARY_HOME"]))

    def pid(self, name: str) -> int:
        """Of a process that is ready or is just starting. Raises RuntimeError for one that is neither."""
        pid = self.stack.process(name).pid
        if pid is None:
            raise RuntimeError(f"{name} does not run")
        return pid

    async def until_back(self, name: str, old_pid: int) -> None:
        """Return when another process has taken the place of a killed one, and the edge is ready."""

        async def again() -> bool:
            record = self.stack.process(name)
            return record.pid != old_pid and record.state == "ready"

        await until(again, f"{name} did not come back")
        await self.until_ready()

    async def until_ready(self) -> None:
        """Return when the edge is ready."""

        async def ready() -> bool:
            try:
                return (await self.client.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "the edge did not become ready")

    async def checked(self) -> Mapping[str, object]:
        """Wait until everything is delivered, then hold every home, count, timeline of an author and like against what was promised.

        Raises RuntimeError for what is wrong; the result is the report of the audit.
        """
        await settled(self.mesh)
        report = await _audited(self.environment)
        await _audited(self.environment, "--counts")
        await self._likes_are_right()
        for author in self.traffic.authors:
            listed, accepted = await self.traffic.listed(author), self.traffic.seen.tweets[author.user_id]
            if sorted(listed) != sorted(accepted):
                raise RuntimeError(
                    f"an author's {len(listed)} tweets and the {len(accepted)} accepted differ by {accepted ^ set(listed)}"
                )
        return report

    async def _likes_are_right(self) -> None:
        for tweet, likers in self.traffic.seen.likes.items():
            key = uuid.UUID(tweet).bytes
            with acting(Caller()):
                answer = await self.mesh.engagement.ListLikers(engage_pb2.ListLikersRequest(tweet_id=key, limit=1000))
            told, listed = {user for user, liked in likers.items() if liked}, set(split_ids(answer.user_ids))
            if listed != told:
                raise RuntimeError(f"likers of {tweet} are {len(listed)}, and by the answers they are {len(told)}")


@asynccontextmanager
async def inhabited(environment: Mapping[str, str], pause_s: float = PAUSE_S) -> AsyncIterator[World]:
    """Start the stack of an environment and let people sign up; taken down with the block."""
    own = {**environment, "AVIARY_USER_ACCESS_TOKEN_S": str(_DAY_S)}
    async with started(own) as (stack, _):
        base_url = f"http://{HOST}:{stack.addresses['AVIARY_HTTP_PORT']}"
        async with (
            Mesh(stack.environment(), "soak") as mesh,
            httpx.AsyncClient(base_url=base_url, timeout=30) as client,
        ):
            authors = await people.register(client, _AUTHORS)
            readers = await people.register(client, _READERS)
            pairs = [(reader.user_id, author.user_id) for reader in readers for author in authors]
            await import_follows(mesh, pairs, Silent())
            yield World(own, Traffic(client, authors, readers, pause_s), mesh, client)


async def until(condition: Callable[[], Awaitable[bool]], failure: str) -> None:
    """Return when the condition holds. Raises RuntimeError with the text when it does not within two minutes."""
    end = time.monotonic() + _PATIENCE_S
    while not await condition():
        if time.monotonic() > end:
            raise RuntimeError(failure)
        await asyncio.sleep(_POLL_S)


async def _audited(environment: Mapping[str, str], *words: str) -> Mapping[str, object]:
    """The report of a clean audit. One that could not read everything has said why, and is tried again."""
    text = b""
    for _ in range(_AUDITS):
        text, code = await _audit(environment, *words)
        if not code:
            report: dict[str, object] = json.loads(text)
            return report
        if text:
            break
    raise RuntimeError(f"the audit found: {text.decode() or 'nothing, because it could not read'}")


async def _audit(environment: Mapping[str, str], *words: str) -> tuple[bytes, int | None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "audit", "--json", *words), env=environment, stdout=asyncio.subprocess.PIPE
    )
    text, _ = await process.communicate()
    return text, process.returncode
