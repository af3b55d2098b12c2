"""A small world for the view plane: data services in memory that count their calls, a clock that is moved by hand."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aviary.engage.v1 import engage_pb2_grpc
from aviary.graph.v1 import events_pb2 as graph_events_pb2
from aviary.graph.v1 import graph_pb2_grpc
from aviary.timeline.v1 import timeline_pb2_grpc
from aviary.tweet.v1 import events_pb2, tweet_pb2, tweet_pb2_grpc
from aviary.user.v1 import events_pb2 as user_events_pb2
from aviary.user.v1 import user_pb2, user_pb2_grpc
from aviary.view.v1 import view_pb2, view_pb2_grpc

from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, NOBODY, Caller, acting
from runtime.errors import Unavailable
from runtime.guard import Guard
from runtime.ids import SystemClock, uuid7_of
from tests.monotonic import Monotonic
from tests.unit.views.services import Engage, Graph, Timelines, Tweets, Users
from views.build import Channels, build_deps
from views.servicer import ViewServicer

T0 = 1_700_000_000_000


class WallClock:
    """The time of day, which passes with the seconds of a Monotonic."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic

    def now_ms(self) -> int:
        return T0 + int(self._monotonic() * 1000)

    def now_us(self) -> int:
        return self.now_ms() * 1000


class World:
    """Everything that exists, the services that give it, and the view plane over them."""

    def __init__(self, clock: Any = None, now_ms: Callable[[], int] | None = None) -> None:
        self.calls: Counter[str] = Counter()
        self.hold: dict[str, Callable[[], Awaitable[None]]] = {}
        self.down: set[str] = set()
        self.users: dict[bytes, user_pb2.User] = {}
        self.tweets: dict[bytes, tweet_pb2.StoredTweet] = {}
        self.homes: dict[bytes, list[tuple[bytes, bytes]]] = {}
        self.follows: set[tuple[bytes, bytes]] = set()
        self.blocks: set[tuple[bytes, bytes]] = set()
        self.mutes: dict[tuple[bytes, bytes], int] = {}
        self.most_blocked_by = 10_000
        self.unnamed = False
        """Whether states of snapshots have no name, as within seconds of a change."""
        self.states: Counter[bytes] = Counter()
        self.unchanged = 0
        """How often a snapshot was asked for that nothing had happened to."""
        self.versions: dict[bytes, int] = {}
        self.recent_versions: dict[bytes, int] = {}
        self.recent_deletes: dict[bytes, list[bytes]] = {}
        self.recent_profiles: dict[bytes, int] = {}
        self.recent_unknown = False
        self.marks: dict[str, list[tuple[bytes, bytes]]] = {"like": [], "bookmark": []}
        """Accounts and tweets in the order of marking."""
        self.clock = clock or Monotonic()
        self._now_ms = now_ms or (lambda: T0 + self._next * 1000)
        guard = Guard(CallerSigner(Secret(b"m" * 32), "views", SystemClock()))
        mesh = InProcessChannel(guard, "views")
        mesh.register(timeline_pb2_grpc.add_TimelineServiceServicer_to_server, Timelines(self))
        mesh.register(tweet_pb2_grpc.add_TweetServiceServicer_to_server, Tweets(self))
        mesh.register(user_pb2_grpc.add_UserServiceServicer_to_server, Users(self))
        mesh.register(graph_pb2_grpc.add_GraphServiceServicer_to_server, Graph(self))
        mesh.register(engage_pb2_grpc.add_EngageServiceServicer_to_server, Engage(self))
        self.deps = build_deps(Channels(mesh, mesh, mesh, mesh, mesh), self.clock, WallClock(self.clock))
        front = InProcessChannel(guard)
        front.register(view_pb2_grpc.add_ViewServiceServicer_to_server, ViewServicer(self.deps))
        self.views = view_pb2_grpc.ViewServiceStub(front)
        self._next = 0
        self._sequence = 0
        self._sequence_of_accounts = 0
        self.told_relations = 0
        """Sequence of the signals of svc_graph; raised by hand, one was lost."""
        self.told_accounts = 0

    def user(self, name: str) -> bytes:
        """A new account."""
        user_id = self._id()
        self.users[user_id] = user_pb2.User(
            user_id=str(uuid.UUID(bytes=user_id)), username=name, display_name=name.title(), status=1
        )
        return user_id

    def tweet(self, author: bytes, text: str = "hello", *readers: bytes) -> bytes:
        """A new tweet, delivered to the author, the followers and the readers."""
        tweet_id = self._id()
        body = tweet_pb2.TweetBody(tweet_id=tweet_id, author_id=author, tweet_type=1, content=text)
        self.tweets[tweet_id] = tweet_pb2.StoredTweet(
            tweet_id=tweet_id, author_id=author, body=body.SerializeToString()
        )
        for reader in {author, *readers, *(a for a, b in self.follows if b == author)}:
            self.homes.setdefault(reader, []).insert(0, (tweet_id, author))
        return tweet_id

    def follow(self, follower: bytes, followee: bytes, following: bool = True) -> int:
        """Set a follow as the graph knows it; nobody is told. Returns its version."""
        (self.follows.add if following else self.follows.discard)((follower, followee))
        return self._changed(follower)

    def block(self, blocker: bytes, blocked: bytes, blocking: bool = True) -> int:
        """Set a block, which ends follows, as the graph knows it; nobody is told. Returns its version."""
        (self.blocks.add if blocking else self.blocks.discard)((blocker, blocked))
        if blocking:
            self.follows -= {(blocker, blocked), (blocked, blocker)}
        return self._changed(blocker, blocked)

    def mute(self, muter: bytes, muted: bytes, muting: bool = True, until_ms: int = 0) -> int:
        """Set a mute as the graph knows it; nobody is told. Returns its version."""
        if muting:
            self.mutes[muter, muted] = until_ms
        else:
            self.mutes.pop((muter, muted), None)
        return self._changed(muter)

    def suspend(self, user_id: bytes, status: int = user_pb2.USER_STATUS_SUSPENDED) -> int:
        """Set the state of an account as its service knows it; nobody is told. Returns its version."""
        self._sequence_of_accounts += 1
        self.users[user_id].status = status
        self.users[user_id].updated_at.FromMicroseconds(self._sequence_of_accounts)
        return self._sequence_of_accounts

    def _changed(self, user_id: bytes, other: bytes = b"") -> int:
        self.versions[user_id] = self.versions.get(user_id, 0) + 1
        self.states[user_id] += 1
        self.states[other] += 1
        return self.versions[user_id]

    def delete(self, tweet_id: bytes) -> None:
        """Delete as the store knows it; nobody is told."""
        self.tweets[tweet_id].deleted = True
        self.tweets[tweet_id].body = b""

    def mark(self, kind: str, user_id: bytes, tweet_id: bytes, present: bool = True) -> None:
        """Like or bookmark, or no longer, as its service knows it; nobody is told."""
        self.marks[kind] = [m for m in self.marks[kind] if m != (user_id, tweet_id)]
        if present:
            self.marks[kind].append((user_id, tweet_id))

    async def warm(self) -> None:
        """Let what was signalled be believed."""
        for _ in range(2):
            await self.heartbeat()
            self.clock.advance(0.4)
        await self.heartbeat()

    async def heartbeat(self, publisher: bytes = b"p" * 16) -> None:
        """Every service shows that it lives."""
        await self.deps.statuses.heard(events_pb2.TweetStatusSignal(publisher_id=publisher, sequence=self._sequence))
        await self.tell_relations(publisher=publisher)
        await self.tell_accounts(publisher=publisher)

    async def tell_relations(self, *changes: graph_events_pb2.RelationChange, publisher: bytes = b"p" * 16) -> None:
        """Tell what changed between people; without any it is a heartbeat."""
        self.told_relations += bool(changes)
        await self.deps.relations.heard(
            graph_events_pb2.RelationSignal(publisher_id=publisher, sequence=self.told_relations, changes=changes)
        )

    async def tell_accounts(self, *changes: user_events_pb2.AccountChange, publisher: bytes = b"p" * 16) -> None:
        """Tell which accounts changed; without any it is a heartbeat."""
        self.told_accounts += bool(changes)
        await self.deps.authors.heard(
            user_events_pb2.AccountSignal(publisher_id=publisher, sequence=self.told_accounts, changes=changes)
        )

    async def signal_delete(self, tweet_id: bytes) -> None:
        """Delete, and tell."""
        self.delete(tweet_id)
        self._sequence += 1
        change = events_pb2.TweetStatusChange(
            tweet_id=tweet_id, author_id=self.tweets[tweet_id].author_id, deleted=True
        )
        await self.deps.statuses.heard(
            events_pb2.TweetStatusSignal(publisher_id=b"p" * 16, sequence=self._sequence, changes=[change])
        )

    def lose_a_signal(self) -> None:
        """Something was told that nobody heard."""
        self._sequence += 1

    @contextlib.contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """Calls made inside of the block."""
        before, made = self.calls.copy(), Counter[str]()
        yield made
        made.update(self.calls - before)

    async def home(self, reader: bytes, **fields: Any) -> view_pb2.GetHomeTimelineResponse:
        with acting(caller(reader)):
            return await self.views.GetHomeTimeline(view_pb2.GetHomeTimelineRequest(**fields))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let everything that can go on go on, until the condition holds."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - the condition is about many calls, not one event
                await asyncio.sleep(0)

    async def served(self, name: str) -> None:
        """Every fake rpc passes here."""
        self.calls[name] += 1
        if name in self.hold:
            await self.hold[name]()
        if name in self.down:
            raise Unavailable(f"{name} is down", retry_after_s=1)

    def _id(self) -> bytes:
        self._next += 1
        return uuid7_of(self._now_ms(), self._next).bytes


def caller(user_id: bytes) -> Caller:
    return Caller(user_id=user_id, session_id=b"s" * 16, scopes=ALL_SCOPES) if user_id else NOBODY


def ids(page: Any) -> list[bytes]:
    """Ids of a page's tweets."""
    return [uuid.UUID(t.tweet_id).bytes for t in page.tweets]


def text(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))


class Gate:
    """Holds a fake rpc until it is opened; `arrived` is set by the first call."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._open = asyncio.Event()

    async def __call__(self) -> None:
        self.arrived.set()
        await self._open.wait()

    def open(self) -> None:
        self._open.set()
