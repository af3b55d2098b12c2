"""svc_tweet as a real process on the real servers, with an svc_user that knows a few names; what it announces is collected."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aviary.mesh.v1.mesh_pb2_grpc import MeshServiceStub
from aviary.tweet.v1 import tweet_pb2
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted, TweetStatusSignal
from aviary.tweet.v1.tweet_pb2 import (
    CreateTweetRequest,
    CreateTweetResponse,
    DeleteTweetRequest,
    GetTweetsRequest,
    ListAuthorTweetsRequest,
    StoredTweet,
)
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from aviary.user.v1.user_pb2_grpc import add_UserServiceServicer_to_server
from grpc import aio

from runtime.bus import Consumers, NatsBus, consumes
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import MeshConfig, Secret
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock, Uuid7Ids, split_ids
from runtime.service import check_peer
from stack.ports import pick_free
from tests.ports import Port
from tests.unit.svc_tweet.world import FewNames

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90
SESSION = bytes(15) + b"\x01"
IDS = Uuid7Ids(SystemClock())


@dataclass
class Heard:
    """Everything that the process announced and signalled."""

    created: list[TweetCreated] = field(default_factory=list)
    deleted: list[TweetDeleted] = field(default_factory=list)
    signals: list[TweetStatusSignal] = field(default_factory=list)

    def created_by(self, author: uuid.UUID) -> list[str]:
        """Tweets whose creation was announced, as often as it was delivered."""
        return [str(uuid.UUID(bytes=e.tweet_id)) for e in self.created if e.author_id == author.bytes]

    def deleted_by(self, author: uuid.UUID) -> list[str]:
        """Tweets whose deletion was announced, as often as it was delivered."""
        return [str(uuid.UUID(bytes=e.tweet_id)) for e in self.deleted if e.author_id == author.bytes]


class TweetProcess:
    """A process of svc_tweet that can be killed and started again, called as by the edge."""

    def __init__(self, environment: dict[str, str], folder: Path, user_port: int, heard: Heard) -> None:
        grpc_port, metrics_port = pick_free(2)
        self.environment = {
            **os.environ,
            **environment,
            "AVIARY_TWEET_PORT": str(grpc_port),
            "AVIARY_TWEET_METRICS_PORT": str(metrics_port),
            "AVIARY_USER_ADDRESS": f"127.0.0.1:{user_port}",
            "AVIARY_OUTBOX_RELAY_AGES_S": "0.2,0.5,1",
            "AVIARY_FAULT_DIR": str(folder),
        }
        self.folder = folder
        self.heard = heard
        self.channel = open_channel(f"127.0.0.1:{grpc_port}", signer_of(environment, "edge"), tweet_pb2.DESCRIPTOR)
        self.stub: Any = TweetServiceStub(self.channel)
        self.mesh: Any = MeshServiceStub(self.channel)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it serves."""
        with (self.folder / "svc_tweet.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "svc_tweet.server", cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        await until(self._ready)

    async def stop(self) -> None:
        """SIGTERM, and wait for the end of the drain."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await self.process.wait()

    def arm(self, point: str) -> None:
        """Let the process die when it next passes the fault point."""
        (self.folder / point).write_text("")

    async def died(self) -> None:
        """Wait until it was killed at the fault point."""
        assert self.process is not None
        assert await self.process.wait() == -signal.SIGKILL

    async def post(self, author: uuid.UUID, content: str, key: str = "") -> CreateTweetResponse:
        """Post as the author's login."""
        with acting(Caller(author.bytes, SESSION, ALL_SCOPES), deadline_s=30):
            answer: CreateTweetResponse = await self.stub.CreateTweet(
                CreateTweetRequest(content=content, idempotency_key=key)
            )
        return answer

    async def delete(self, author: uuid.UUID, tweet_id: str) -> None:
        """Delete as the author's login."""
        with acting(Caller(author.bytes, SESSION, ALL_SCOPES), deadline_s=30):
            await self.stub.DeleteTweet(DeleteTweetRequest(tweet_id=tweet_id))

    async def get(self, tweet_id: str) -> StoredTweet:
        """The stored tweet."""
        answer = await self.stub.GetTweets(GetTweetsRequest(tweet_ids=[uuid.UUID(tweet_id).bytes]))
        (tweet,) = answer.tweets
        assert isinstance(tweet, StoredTweet)
        return tweet

    async def listed(self, author: uuid.UUID) -> list[str]:
        """The author's ids, newest first."""
        answer = await self.stub.ListAuthorTweets(ListAuthorTweetsRequest(author_id=author.bytes, limit=1000))
        return [str(uuid.UUID(bytes=one)) for one in split_ids(answer.tweet_ids)]

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (self.folder / "svc_tweet.log").read_text()[-4000:]
        try:
            await check_peer(self.channel)
        except (aio.AioRpcError, RuntimeError):
            return False
        return True


def signer_of(environment: dict[str, str], service: str) -> CallerSigner:
    """Signs calls as this service."""
    return CallerSigner(Secret(bytes.fromhex(environment["AVIARY_MESH_KEY"])), service, SystemClock())


@asynccontextmanager
async def user_service(environment: dict[str, str], names: FewNames) -> AsyncIterator[int]:
    """An svc_user on a port of its own."""
    opened = Port(GuardInterceptor(Guard(signer_of(environment, "user"))))
    add_UserServiceServicer_to_server(names, opened)
    port = opened.server.add_insecure_port("127.0.0.1:0")
    await opened.server.start()
    try:
        yield port
    finally:
        await opened.server.stop(None)


@asynccontextmanager
async def hearing(config: MeshConfig) -> AsyncIterator[Heard]:
    """Collect what is announced, with durable consumers, and what is signalled."""
    heard = Heard()

    @consumes(TweetCreated, durable="test-tweets-created")
    async def created(event: TweetCreated, deps: Heard) -> None:
        deps.created.append(event)

    @consumes(TweetDeleted, durable="test-tweets-deleted")
    async def deleted(event: TweetDeleted, deps: Heard) -> None:
        deps.deleted.append(event)

    async def signalled(message: TweetStatusSignal) -> None:
        heard.signals.append(message)

    bus = await NatsBus.connect(config)
    await bus.declare([TweetCreated, TweetDeleted])
    await bus.listen(TweetStatusSignal, signalled)
    consuming = asyncio.create_task(Consumers(bus, [created, deleted], heard).run())
    try:
        yield heard
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        await bus.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition of another process; the bound only ends a test that fails."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - no event of ours can be set there
            await asyncio.sleep(0.02)
