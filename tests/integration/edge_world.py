"""A public port on uvicorn over fake services in the same process: what the edge tests talk to."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aviary.engage.v1 import engage_pb2, engage_pb2_grpc
from aviary.graph.v1 import graph_pb2, graph_pb2_grpc
from aviary.mesh.v1 import reason_pb2
from aviary.tweet.v1 import reason_pb2 as tweet_reason_pb2
from aviary.tweet.v1 import tweet_pb2, tweet_pb2_grpc
from aviary.user.v1 import user_pb2, user_pb2_grpc
from aviary.view.v1 import view_pb2, view_pb2_grpc
from google.protobuf.descriptor import FileDescriptor
from grpc import aio

from edge.addresses import Proxies, parse_proxies
from edge.api import build_app, endpoints_of, public_encoder
from edge.http_server import HttpServer
from idempotency import IdempotencyKeyReused
from in_process import InProcessChannel
from runtime import errors
from runtime.callers import CallerSigner
from runtime.channel import open_channel
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, current_caller, current_trace
from runtime.guard import Guard, GuardInterceptor
from runtime.http import OpsApp
from runtime.ids import SystemClock
from stack.ports import pick_free
from tests.unit.edge.logins import KEY, Logins, asking
from tests.unit.edge.tokens import signed

ALICE = uuid.UUID("0192f4a0-0000-7000-8000-00000000000a")
BOB = uuid.UUID("0192f4a0-0000-7000-8000-00000000000b")
TWEET = uuid.UUID("0192f4a0-0000-7000-8000-0000000000ff")
CREATED_MS = 1_700_000_000_123
ORIGIN = "https://app.example"


class TweetTooLong(errors.FailedPrecondition):
    reason = errors.named(tweet_reason_pb2.Reason, tweet_reason_pb2.REASON_TWEET_TOO_LONG)


class TweetNotFound(errors.NotFound):
    reason = errors.named(tweet_reason_pb2.Reason, tweet_reason_pb2.REASON_TWEET_NOT_FOUND)


class TooBusy(errors.ResourceExhausted):
    reason = errors.common(reason_pb2.REASON_OVERLOADED)


# What a fake answers to a tweet of this text.
FAILURES: dict[str, Exception] = {
    "long": TweetTooLong("300 of 280"),
    "reused": IdempotencyKeyReused("another body"),
    "busy": TooBusy("slowly", retry_after_s=2.5),
    "down": errors.Unavailable("the store is away", retry_after_s=1),
    "late": errors.DeadlineExceeded("took too long"),
    "denied": errors.PermissionDenied("not yours"),
    "defect": ZeroDivisionError("secret detail"),
}


def view_tweet() -> view_pb2.Tweet:
    tweet = view_pb2.Tweet(tweet_id=str(TWEET), user_id=str(BOB), tweet_type=tweet_pb2.TWEET_TYPE_TWEET, content="hi")
    tweet.user.user_id, tweet.user.username = str(BOB), "bob"
    tweet.created_at.FromMilliseconds(CREATED_MS)
    tweet.updated_at.FromMilliseconds(CREATED_MS)
    tweet.entities.SetInParent()
    return tweet


class Fakes(
    user_pb2_grpc.UserServiceServicer,
    tweet_pb2_grpc.TweetServiceServicer,
    view_pb2_grpc.ViewServiceServicer,
):
    """Answers with what it was asked, and remembers it."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.callers: list[Caller] = []
        self.traces: list[str] = []
        self.asked = asyncio.Event()
        self.hold: asyncio.Event | None = None
        self.logins = Logins()

    async def _note(self, request: Any) -> None:
        self.requests.append(request)
        self.callers.append(current_caller())
        self.traces.append(current_trace())
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()

    async def Register(self, request: Any, context: Any) -> user_pb2.RegisterResponse:
        await self._note(request)
        user = user_pb2.User(user_id=str(ALICE), username=request.username, status=user_pb2.USER_STATUS_ACTIVE)
        return user_pb2.RegisterResponse(user=user, access_token="a", refresh_token="r", token_type="Bearer")

    async def Login(self, request: Any, context: Any) -> user_pb2.LoginResponse:
        await self._note(request)
        return user_pb2.LoginResponse(access_token="a")

    async def Logout(self, request: Any, context: Any) -> user_pb2.LogoutResponse:
        await self._note(request)
        return user_pb2.LogoutResponse()

    async def CreateTweet(self, request: Any, context: Any) -> tweet_pb2.CreateTweetResponse:
        await self._note(request)
        if failure := FAILURES.get(request.content):
            raise failure
        answer = tweet_pb2.CreateTweetResponse(tweet_id=str(TWEET), content=request.content, likes_count=2**60)
        answer.created_at.FromMilliseconds(CREATED_MS)
        return answer

    async def DeleteTweet(self, request: Any, context: Any) -> tweet_pb2.DeleteTweetResponse:
        await self._note(request)
        return tweet_pb2.DeleteTweetResponse(tweet_id=request.tweet_id, status="deleted")

    async def GetTweet(self, request: Any, context: Any) -> view_pb2.GetTweetResponse:
        await self._note(request)
        if request.tweet_id != str(TWEET):
            raise TweetNotFound("no such tweet", tweet_id=request.tweet_id)
        return view_pb2.GetTweetResponse(tweet=view_tweet())

    async def ListTweets(self, request: Any, context: Any) -> view_pb2.ListTweetsResponse:
        await self._note(request)
        return view_pb2.ListTweetsResponse(tweets=[view_tweet() for _ in request.ids])

    async def GetHomeTimeline(self, request: Any, context: Any) -> view_pb2.GetHomeTimelineResponse:
        await self._note(request)
        if request.HasField("max_id"):
            return view_pb2.GetHomeTimelineResponse()
        return view_pb2.GetHomeTimelineResponse(tweets=[view_tweet()] * 5, next_max_id=str(TWEET), has_more=True)

    async def GetMe(self, request: Any, context: Any) -> view_pb2.GetMeResponse:
        await self._note(request)
        return view_pb2.GetMeResponse(user=user_pb2.User(user_id=str(ALICE), email="a@example.org"))

    async def ListBookmarks(self, request: Any, context: Any) -> view_pb2.ListBookmarksResponse:
        await self._note(request)
        tweets = [view_tweet() for _ in range(2)]
        tweets[1].likes_count, tweets[1].liked = 7, True
        return view_pb2.ListBookmarksResponse(tweets=tweets, degraded=["engagement"])

    async def GetUser(self, request: Any, context: Any) -> view_pb2.GetUserResponse:
        await self._note(request)
        return view_pb2.GetUserResponse(user=user_pb2.User(user_id=request.user_id))

    async def ListFollowers(self, request: Any, context: Any) -> view_pb2.ListFollowersResponse:
        await self._note(request)
        return view_pb2.ListFollowersResponse(next_cursor="a+b/c=", has_more=True)


class FakeGraph(graph_pb2_grpc.GraphServiceServicer):
    """Follows at once."""

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    async def Follow(self, request: Any, context: Any) -> graph_pb2.FollowResponse:
        await self._fakes._note(request)
        return graph_pb2.FollowResponse(follower_id=str(ALICE), followee_id=request.followee_id, following=True)

    async def Unfollow(self, request: Any, context: Any) -> graph_pb2.UnfollowResponse:
        await self._fakes._note(request)
        return graph_pb2.UnfollowResponse(follower_id=str(ALICE), followee_id=request.followee_id)


class FakeEngage(engage_pb2_grpc.EngageServiceServicer):
    """Likes and bookmarks at once."""

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    async def Like(self, request: Any, context: Any) -> engage_pb2.LikeResponse:
        await self._fakes._note(request)
        return engage_pb2.LikeResponse(tweet_id=request.tweet_id, liked=True, likes_count=1)

    async def Unlike(self, request: Any, context: Any) -> engage_pb2.UnlikeResponse:
        await self._fakes._note(request)
        return engage_pb2.UnlikeResponse(tweet_id=request.tweet_id)

    async def Bookmark(self, request: Any, context: Any) -> engage_pb2.BookmarkResponse:
        await self._fakes._note(request)
        return engage_pb2.BookmarkResponse(tweet_id=request.tweet_id, bookmarked=True)

    async def RemoveBookmark(self, request: Any, context: Any) -> engage_pb2.RemoveBookmarkResponse:
        await self._fakes._note(request)
        return engage_pb2.RemoveBookmarkResponse(tweet_id=request.tweet_id)


class World:
    """The public port, how to call it, and what arrived behind it."""

    def __init__(self, client: httpx.AsyncClient, fakes: Fakes, port: int, stop: Callable[[], Awaitable[None]]) -> None:
        self.client = client
        self.fakes = fakes
        self.port = port
        self.stop = stop

    @property
    def last(self) -> Any:
        return self.fakes.requests[-1]

    async def raw(self, data: bytes) -> bytes:
        """What a connection answers to these bytes until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        answer = await reader.read(65536)
        writer.close()
        return answer


def token(user: uuid.UUID = ALICE, scopes: tuple[str, ...] = ALL_SCOPES, expires_in: int = 60) -> str:
    return signed(KEY, user.bytes, uuid.uuid4().bytes, scopes, expires_in)


def as_alice(**headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token()}", **headers}


@asynccontextmanager
async def edge_world(max_in_flight: int = 100, trusted_proxies: str = "") -> AsyncIterator[World]:
    """The port over fakes in the same process."""
    fakes = Fakes()
    channel = InProcessChannel(Guard(signer()))
    channel.register(user_pb2_grpc.add_UserServiceServicer_to_server, fakes)
    channel.register(tweet_pb2_grpc.add_TweetServiceServicer_to_server, fakes)
    channel.register(view_pb2_grpc.add_ViewServiceServicer_to_server, fakes)
    channel.register(graph_pb2_grpc.add_GraphServiceServicer_to_server, FakeGraph(fakes))
    channel.register(engage_pb2_grpc.add_EngageServiceServicer_to_server, FakeEngage(fakes))
    contracts = (user_pb2, graph_pb2, tweet_pb2, engage_pb2, view_pb2)
    files = [contract.DESCRIPTOR for contract in contracts]
    proxies = parse_proxies(trusted_proxies) if trusted_proxies else ()
    async with serving([(file, channel) for file in files], fakes, max_in_flight, proxies) as world:
        yield world


@asynccontextmanager
async def remote_tweets() -> AsyncIterator[tuple[World, Callable[[], Awaitable[None]]]]:
    """The port with a tweet service that is reached over the network, and is down until it is started."""
    fakes, free = Fakes(), pick_free(1)[0]
    server = aio.server(interceptors=[GuardInterceptor(Guard(signer()))])
    tweet_pb2_grpc.add_TweetServiceServicer_to_server(fakes, server)

    async def start() -> None:
        server.add_insecure_port(f"127.0.0.1:{free}")
        await server.start()

    channel = open_channel(f"127.0.0.1:{free}", signer(), tweet_pb2.DESCRIPTOR)
    async with serving([(tweet_pb2.DESCRIPTOR, channel)], fakes) as world:
        yield world, start
    await channel.close()
    await server.stop(0)


@asynccontextmanager
async def serving(
    contracts: Sequence[tuple[FileDescriptor, aio.Channel]],
    fakes: Fakes,
    max_in_flight: int = 100,
    proxies: Proxies = (),
) -> AsyncIterator[World]:
    """Start the port, stop it at the end."""
    sessions = fakes.logins.sessions(SystemClock(), time.monotonic)
    endpoints = endpoints_of(contracts, sessions, public_encoder())
    app = build_app(
        endpoints,
        OpsApp(lambda: {"nats": "ok"}),
        cors_origins=[ORIGIN],
        max_in_flight=max_in_flight,
        trusted_proxies=proxies,
    )
    server = HttpServer(app, "127.0.0.1", 0)
    running = asyncio.create_task(server.run())

    async def stop() -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=20)
    async with asking(sessions), client:
        yield World(client, fakes, server.port, stop)
    await stop()


def signer() -> CallerSigner:
    return CallerSigner(Secret(b"k" * 32), "edge", SystemClock())
