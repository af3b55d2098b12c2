"""svc_tweet over an in-process channel with the memory store, a clock that is set, and an svc_user that knows a few names."""

import asyncio
import contextlib
import math
import uuid
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from aviary.tweet.v1 import events_pb2
from aviary.tweet.v1 import tweet_pb2 as pb
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub, add_TweetServiceServicer_to_server
from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceServicer, UserServiceStub, add_UserServiceServicer_to_server
from google.protobuf.message import Message
from grpc import aio

from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import ServiceError, Unavailable, from_rpc
from runtime.faults import NO_FAULTS
from runtime.guard import Guard
from runtime.ids import Uuid7Ids, split_ids
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from simulation.recent import RecordedWrites
from svc_tweet.deps import Deps
from svc_tweet.domain.tweets import Tweet
from svc_tweet.servicer import TweetServicer
from svc_tweet.store_memory import MemoryTweetStore

T = TypeVar("T")
SESSION = bytes(15) + b"\x01"
SERVICE = Caller(service="timeline")
NOVEMBER_MS = 1_793_500_000_000


class SetClock:
    def __init__(self) -> None:
        self.us = NOVEMBER_MS * 1000

    def now_ms(self) -> int:
        return self.us // 1000

    def now_us(self) -> int:
        return self.us


class FewNames(UserServiceServicer):
    """Answers ResolveUsernames from a dictionary of names in lower case."""

    def __init__(self) -> None:
        self.owners: dict[str, uuid.UUID] = {}
        self.asked: list[str] = []
        self.down = False

    async def ResolveUsernames(
        self, request: user_pb2.ResolveUsernamesRequest, context: object
    ) -> user_pb2.ResolveUsernamesResponse:
        if self.down:
            raise Unavailable("svc_user is down", retry_after_s=1)
        self.asked += request.usernames
        found = [(name, self.owners[name.lower()]) for name in request.usernames if name.lower() in self.owners]
        return user_pb2.ResolveUsernamesResponse(
            users=[user_pb2.ResolvedUsername(username=name, user_id=owner.bytes) for name, owner in found]
        )


class LossyStore(MemoryTweetStore):
    """A store whose acknowledgement of deletions can get lost: what it was told it does all the same."""

    lost: Exception | None = None
    silent = False

    async def delete(self, tweet: Tweet, deleted_us: int, announce: events_pb2.TweetDeleted) -> None:
        await super().delete(tweet, deleted_us, announce)
        if self.silent:
            await asyncio.Event().wait()
        if self.lost is not None:
            raise self.lost


@dataclass
class World:
    """The service under test, and everything around it."""

    stub: Any
    store: LossyStore
    signals: Publisher
    bus: MemoryBus
    outbox: MemoryOutbox
    names: FewNames
    recent: RecordedWrites
    clock: SetClock
    ids: Uuid7Ids

    def account(self, name: str = "") -> uuid.UUID:
        """A new account, which has the name if one is given."""
        user_id = self.ids.next()
        if name:
            self.names.owners[name.lower()] = user_id
        return user_id

    @contextlib.contextmanager
    def acting(self, user_id: uuid.UUID, scopes: tuple[str, ...] = ALL_SCOPES) -> Iterator[None]:
        """Calls of the block come from this user's login, through the edge."""
        with acting(Caller(user_id.bytes, SESSION, scopes, "edge")):
            yield

    async def post(self, author: uuid.UUID, content: str, key: str = "") -> pb.CreateTweetResponse:
        """Post as the author, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(author):
            request = pb.CreateTweetRequest(content=content, idempotency_key=key)
            answer: pb.CreateTweetResponse = await self.stub.CreateTweet(request)
        return answer

    async def delete(self, author: uuid.UUID, tweet_id: str) -> pb.DeleteTweetResponse:
        """Delete as the author, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(author):
            answer: pb.DeleteTweetResponse = await self.stub.DeleteTweet(pb.DeleteTweetRequest(tweet_id=tweet_id))
        return answer

    async def get(self, *tweet_ids: str) -> dict[str, pb.StoredTweet]:
        """The stored tweets by id."""
        with acting(SERVICE):
            request = pb.GetTweetsRequest(tweet_ids=[uuid.UUID(one).bytes for one in tweet_ids])
            answer = await self.stub.GetTweets(request)
        return {str(uuid.UUID(bytes=tweet.tweet_id)): tweet for tweet in answer.tweets}

    async def listed(
        self, author: uuid.UUID, limit: int = 1000, max_id: bytes = b"", since_id: bytes = b""
    ) -> tuple[list[str], bool]:
        """A page of the author's ids, and whether there is more."""
        with acting(SERVICE):
            answer = await self.stub.ListAuthorTweets(
                pb.ListAuthorTweetsRequest(author_id=author.bytes, limit=limit, max_id=max_id, since_id=since_id)
            )
        return [str(uuid.UUID(bytes=one)) for one in split_ids(answer.tweet_ids)], answer.has_more

    def events(self, kind: type[T]) -> list[T]:
        """Published events of a kind."""
        return [event for event in self.bus.published if isinstance(event, kind)]

    def changes(self) -> list[events_pb2.TweetStatusChange]:
        """What caches were told."""
        return [c for signal in self.bus.signals for c in only(signal, events_pb2.TweetStatusSignal).changes]


def few_names() -> FewNames:
    """An svc_user without accounts; its other rpcs answer UNIMPLEMENTED."""
    return FewNames()  # type: ignore[abstract]  # what is not overridden is not called


async def make_world() -> World:
    """A fresh world."""
    clock, names, recent, bus = SetClock(), few_names(), RecordedWrites(), MemoryBus("svc_tweet")
    await bus.declare([events_pb2.TweetCreated, events_pb2.TweetDeleted])
    outbox, ids = MemoryOutbox(bus, clock), Uuid7Ids(clock)
    guard = Guard(CallerSigner(Secret(b"k" * 32), "tweet", clock))
    users = InProcessChannel(guard, service="tweet")
    users.register(add_UserServiceServicer_to_server, names)
    store = LossyStore(outbox.write, clock)
    signals = Publisher(bus, events_pb2.TweetStatusSignal, b"p" * 16, silence_noticed_s=0, remembered_s=math.inf)
    deps = Deps(
        store=store,
        outbox=outbox,
        user=UserServiceStub(users),
        recent=recent,
        signals=signals,
        clock=clock,
        ids=ids,
        faults=NO_FAULTS,
    )
    channel = InProcessChannel(guard)
    channel.register(add_TweetServiceServicer_to_server, TweetServicer(deps))
    return World(TweetServiceStub(channel), store, signals, bus, outbox, names, recent, clock, ids)


def only(message: Message, kind: type[T]) -> T:
    """The message, which must be of the kind."""
    assert isinstance(message, kind)
    return message


async def refusal(call: Awaitable[object]) -> ServiceError:
    """The failure of a call that must fail."""
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value)
