"""The public port with its stream on real NATS and Redis, over data services in memory that tell what they do."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aviary.graph.v1 import events_pb2 as graph_events_pb2
from aviary.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from aviary.timeline.v1 import events_pb2 as timeline_events_pb2
from aviary.tweet.v1 import events_pb2 as tweet_events_pb2
from aviary.user.v1.events_pb2 import AccountSignal
from websockets.asyncio.client import ClientConnection, connect

from cursors import Cursors
from edge.api import build_app, public_encoder, tweet_renderer
from edge.http_server import HttpServer
from edge.stream.build import Stream, build_stream
from edge.stream.doorkeeper import StreamLimits
from in_process import InProcessChannel
from readers.presence import Presence
from redis_client import Redis, connect_redis
from runtime.bus import NatsBus
from runtime.config import MeshConfig, Secret
from runtime.guard import Guard
from runtime.http import OpsApp
from runtime.ids import SystemClock
from tests.integration.edge_world import signer, token
from tests.unit.edge.logins import Logins
from tests.unit.views.world import World
from views.build import listen

CLOCK = SystemClock()
WITHIN_S = 10.0


class Backlogs(mesh_pb2_grpc.MeshServiceServicer):
    """Says how far behind fan-out is."""

    def __init__(self) -> None:
        self.lag_ms = 0

    async def GetBacklog(self, request: Any, context: Any) -> mesh_pb2.GetBacklogResponse:
        return mesh_pb2.GetBacklogResponse(lag_ms=self.lag_ms)


class StreamWorld:
    """Everything around one edge process."""

    def __init__(
        self,
        world: World,
        bus: NatsBus,
        presence: Presence,
        stream: Stream,
        port: int,
        redis: Redis,
        logins: Logins,
    ) -> None:
        self.world = world
        self.bus = bus
        self.presence = presence
        self.stream = stream
        self.port = port
        self.redis = redis
        self.logins = logins
        self.cursors = Cursors({1: Secret(b"c" * 32)}, CLOCK)
        self._fanout = uuid.uuid4().bytes
        self._fanout_sequence = 0
        self._tweets = uuid.uuid4().bytes
        self._tweets_sequence = 0

    async def post(self, author: bytes, text: str = "hello", lost: bool = False) -> bytes:
        """Post and deliver, as svc_timeline does; `lost`: its signals to edges are."""
        tweet_id = self.world.tweet(author, text)
        readers = {author, *(a for a, b in self.world.follows if b == author)}
        for edge_id, there in (await self.presence.edges_of(sorted(readers))).items():
            await self.signal(edge_id, tweet_id, author, there, lost)
        return tweet_id

    async def signal(
        self, edge_id: bytes, tweet_id: bytes, author: bytes, readers: Iterable[bytes], lost: bool = False
    ) -> None:
        self._fanout_sequence += 1
        signal = timeline_events_pb2.HomeSignal(
            edge_id=edge_id,
            publisher_id=self._fanout,
            sequence=self._fanout_sequence,
            tweet_id=tweet_id,
            author_id=author,
            reader_ids=b"".join(readers),
        )
        if not lost:
            await self.bus.signal(signal)

    async def delete(self, tweet_id: bytes, lost: bool = False) -> None:
        """Delete as svc_tweet does."""
        self.world.delete(tweet_id)
        self._tweets_sequence += 1
        change = tweet_events_pb2.TweetStatusChange(
            tweet_id=tweet_id, author_id=self.world.tweets[tweet_id].author_id, deleted=True
        )
        if not lost:
            await self._tell(change)

    async def follow(self, follower: bytes, followee: bytes, following: bool = True) -> None:
        """Follow or unfollow as svc_graph does."""
        version = self.world.follow(follower, followee, following)
        self.world.told_relations += 1
        change = graph_events_pb2.RelationChange(
            user_id=follower,
            other_id=followee,
            relation=graph_events_pb2.RELATION_FOLLOW,
            set=following,
            version=version,
        )
        await self._tell_relations(change)
        await self.bus.publish(
            graph_events_pb2.FollowSet(
                event_id=uuid.uuid4().bytes,
                follower_id=follower,
                followee_id=followee,
                following=following,
                version=version,
            )
        )

    async def beat(self) -> None:
        """Heartbeats of svc_tweet and svc_graph, until cancelled."""
        while True:
            await self._tell()
            await self._tell_relations()
            await asyncio.sleep(0.25)

    @asynccontextmanager
    async def open(self, reader: bytes, query: str = "", hello: bool = True, **options: Any) -> AsyncIterator["Client"]:
        """A stream with the token in the header; its hello is read."""
        bearer = {"Authorization": f"Bearer {token(uuid.UUID(bytes=reader), **options)}"}
        async with self.connect(query, bearer) as client:
            if hello:
                client.hello = await client.next("hello")
            yield client

    @asynccontextmanager
    async def connect(
        self, query: str = "", headers: dict[str, str] | None = None, **options: Any
    ) -> AsyncIterator["Client"]:
        url = f"ws://127.0.0.1:{self.port}/api/v1/stream{query}"
        async with connect(
            url, additional_headers=headers, subprotocols=options.pop("subprotocols", ["aviary.v1"]), **options
        ) as socket:
            yield Client(socket)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)

    async def _tell_relations(self, *changes: graph_events_pb2.RelationChange) -> None:
        await self.bus.signal(
            graph_events_pb2.RelationSignal(
                publisher_id=self._tweets, sequence=self.world.told_relations, changes=changes
            )
        )

    async def _tell(self, *changes: tweet_events_pb2.TweetStatusChange) -> None:
        await self.bus.signal(
            tweet_events_pb2.TweetStatusSignal(
                publisher_id=self._tweets, sequence=self._tweets_sequence, changes=changes
            )
        )


class Client:
    """The other end of a stream."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello: dict[str, Any] = {}

    async def next(self, kind: str = "") -> dict[str, Any]:
        """The next message but pings; its type must be `kind`."""
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), WITHIN_S))
            if message["type"] != "ping" or kind == "ping":
                assert not kind or message["type"] == kind, message
                return message

    async def tweet(self) -> bytes:
        """Id of the next message, which is a tweet."""
        return uuid.UUID((await self.next("tweet"))["data"]["tweet_id"]).bytes

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason with which the server closes."""
        async with asyncio.timeout(WITHIN_S):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def stream_world(config: MeshConfig, limits: StreamLimits | None = None) -> AsyncIterator[StreamWorld]:
    """Start everything, stop it at the end."""
    world = World(clock=time.monotonic, now_ms=CLOCK.now_ms)
    bus = await NatsBus.connect(config)
    await bus.declare([graph_events_pb2.FollowSet])
    redis = connect_redis(config)
    mesh = InProcessChannel(Guard(signer()), "edge")
    backlogs = Backlogs()
    mesh.register(mesh_pb2_grpc.add_MeshServiceServicer_to_server, backlogs)
    logins = Logins()
    sessions = logins.sessions(CLOCK, time.monotonic)
    presence = Presence(redis, config.namespace, CLOCK)
    stream = build_stream(
        views=world.deps,
        render=tweet_renderer(public_encoder()),
        attendees=presence,
        sessions=sessions,
        cursors=Cursors({1: Secret(b"c" * 32)}, CLOCK),
        backlogs={"all": mesh_pb2_grpc.MeshServiceStub(mesh)},
        bus=bus,
        edge_id=uuid.uuid4().bytes,
        clock=CLOCK,
        limits=limits or StreamLimits(),
    )
    stops = [await listen(world.deps, bus), await stream.listen(), await bus.listen(AccountSignal, sessions.heard)]
    http = HttpServer(build_app([], OpsApp(lambda: {})), "127.0.0.1", 0, stream.upgrades)
    it = StreamWorld(world, bus, presence, stream, http.port, redis, logins)
    tasks = [
        asyncio.create_task(work()) for work in (stream.run, http.run, it.beat, sessions.run, partial(logins.beat, bus))
    ]
    try:
        await it.until(lambda: world.deps.statuses.epoch() is not None)
        yield it
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stop in stops:
            await stop()
        await bus.close()
        await redis.aclose()
