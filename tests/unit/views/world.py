"""A small world for the view plane: data services in memory that count their calls, a clock that is moved by hand."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aviary.engage.v1 import engage_pb2, engage_pb2_grpc
from aviary.graph.v1 import graph_pb2, graph_pb2_grpc
from aviary.timeline.v1 import timeline_pb2, timeline_pb2_grpc
from aviary.tweet.v1 import events_pb2, tweet_pb2, tweet_pb2_grpc
from aviary.user.v1 import user_pb2, user_pb2_grpc
from aviary.view.v1 import view_pb2, view_pb2_grpc

from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, NOBODY, Caller, acting, current_caller
from runtime.errors import InvalidCursor, Unavailable
from runtime.guard import Guard
from runtime.ids import SystemClock, uuid7_of
from views.build import Channels, build_deps
from views.servicer import ViewServicer

T0 = 1_700_000_000_000


class Monotonic:
    """Seconds that pass only by `advance`."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


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
        self.versions: dict[bytes, int] = {}
        self.recent_versions: dict[bytes, int] = {}
        self.recent_deletes: dict[bytes, list[bytes]] = {}
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
        self.deps = build_deps(Channels(mesh, mesh, mesh, mesh, mesh), self.clock)
        front = InProcessChannel(guard)
        front.register(view_pb2_grpc.add_ViewServiceServicer_to_server, ViewServicer(self.deps))
        self.views = view_pb2_grpc.ViewServiceStub(front)
        self._next = 0
        self._sequence = 0

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
        self.versions[follower] = self.versions.get(follower, 0) + 1
        return self.versions[follower]

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
        """Let the statuses be believed."""
        for _ in range(2):
            await self.heartbeat()
            self.clock.advance(0.4)
        await self.heartbeat()

    async def heartbeat(self, publisher: bytes = b"p" * 16) -> None:
        await self.deps.statuses.heard(events_pb2.TweetStatusSignal(publisher_id=publisher, sequence=self._sequence))

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


class Timelines(timeline_pb2_grpc.TimelineServiceServicer):
    def __init__(self, world: World) -> None:
        self._world = world

    async def GetHome(self, request: Any, context: Any) -> timeline_pb2.GetHomeResponse:
        world = self._world
        await world.served("GetHome")
        entries = [
            e
            for e in world.homes.get(request.user_id, [])
            if (not request.max_id or e[0] < request.max_id) and e[0] > request.since_id
        ]
        page = entries[: request.limit]
        return timeline_pb2.GetHomeResponse(
            tweet_ids=b"".join(e[0] for e in page),
            author_ids=b"".join(e[1] for e in page),
            has_more=len(entries) > len(page),
            graph_version=world.recent_versions.get(request.user_id, 0),
            deleted_ids=b"".join(world.recent_deletes.get(request.user_id, [])),
            recent_unknown=world.recent_unknown,
        )


class Tweets(tweet_pb2_grpc.TweetServiceServicer):
    def __init__(self, world: World) -> None:
        self._world = world

    async def GetTweets(self, request: Any, context: Any) -> tweet_pb2.GetTweetsResponse:
        copies = [tweet_pb2.StoredTweet.FromString(t.SerializeToString()) for t in self._found(request.tweet_ids)]
        await self._world.served("GetTweets")
        return tweet_pb2.GetTweetsResponse(tweets=reversed(copies))

    async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
        await self._world.served("ListAuthorTweets")
        mine = sorted((t.tweet_id for t in self._world.tweets.values() if self._listed(t, request)), reverse=True)
        page = mine[: request.limit]
        return tweet_pb2.ListAuthorTweetsResponse(tweet_ids=b"".join(page), has_more=len(mine) > len(page))

    def _found(self, wanted: list[bytes]) -> list[tweet_pb2.StoredTweet]:
        return [self._world.tweets[i] for i in wanted if i in self._world.tweets]

    def _listed(self, tweet: tweet_pb2.StoredTweet, request: Any) -> bool:
        within = (not request.max_id or tweet.tweet_id < request.max_id) and tweet.tweet_id > request.since_id
        return tweet.author_id == request.author_id and not tweet.deleted and within


class Users(user_pb2_grpc.UserServiceServicer):
    def __init__(self, world: World) -> None:
        self._world = world

    async def GetUsers(self, request: Any, context: Any) -> user_pb2.GetUsersResponse:
        await self._world.served("GetUsers")
        return user_pb2.GetUsersResponse(users=[u for i in request.user_ids if (u := self._world.users.get(i))])

    async def GetAccount(self, request: Any, context: Any) -> user_pb2.GetAccountResponse:
        await self._world.served("GetAccount")

        account = user_pb2.User.FromString(self._world.users[current_caller().user_id].SerializeToString())
        account.email, account.role = "me@example.org", "user"
        return user_pb2.GetAccountResponse(user=account)

    async def ResolveUsernames(self, request: Any, context: Any) -> user_pb2.ResolveUsernamesResponse:
        await self._world.served("ResolveUsernames")
        known = {u.username.lower(): i for i, u in self._world.users.items()}
        found = [(n, known[n.lower()]) for n in request.usernames if n.lower() in known]
        return user_pb2.ResolveUsernamesResponse(
            users=[user_pb2.ResolvedUsername(username=n, user_id=i) for n, i in found]
        )


class Graph(graph_pb2_grpc.GraphServiceServicer):
    def __init__(self, world: World) -> None:
        self._world = world

    async def GetFollowSnapshot(self, request: Any, context: Any) -> graph_pb2.GetFollowSnapshotResponse:
        world = self._world
        snapshot = graph_pb2.GetFollowSnapshotResponse(
            followee_ids=b"".join(b for a, b in world.follows if a == request.user_id),
            version=world.versions.get(request.user_id, 0),
        )
        await world.served("GetFollowSnapshot")
        return snapshot

    async def GetRelationships(self, request: Any, context: Any) -> graph_pb2.GetRelationshipsResponse:
        await self._world.served("GetRelationships")
        follows, me = self._world.follows, request.user_id
        return graph_pb2.GetRelationshipsResponse(
            entries=[
                graph_pb2.RelationshipEntry(user_id=o, following=(me, o) in follows, followed_by=(o, me) in follows)
                for o in request.other_ids
            ]
        )

    async def ListFollowersByTime(self, request: Any, context: Any) -> graph_pb2.ListFollowersByTimeResponse:
        await self._world.served("ListFollowersByTime")
        everybody = sorted(a for a, b in self._world.follows if b == request.user_id)
        page, cursor = _page(everybody, request)
        return graph_pb2.ListFollowersByTimeResponse(entries=page, next_cursor=cursor)

    async def ListFollowingByTime(self, request: Any, context: Any) -> graph_pb2.ListFollowingByTimeResponse:
        await self._world.served("ListFollowingByTime")
        everybody = sorted(b for a, b in self._world.follows if a == request.user_id)
        page, cursor = _page(everybody, request)
        return graph_pb2.ListFollowingByTimeResponse(entries=page, next_cursor=cursor)


def _page(everybody: list[bytes], request: Any) -> tuple[list[graph_pb2.FollowEntry], str]:
    start = _start(request)
    page = everybody[start : start + request.limit]
    more = start + len(page) < len(everybody)
    return [graph_pb2.FollowEntry(user_id=i) for i in page], str(start + len(page)) if more else ""


class Engage(engage_pb2_grpc.EngageServiceServicer):
    """Counts what it is asked for; a cursor is the number of entries before."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def GetTweetCounts(self, request: Any, context: Any) -> engage_pb2.GetTweetCountsResponse:
        await self._world.served("GetTweetCounts")
        counts = [self._counts(tweet_id, request.viewer_id) for tweet_id in request.tweet_ids]
        return engage_pb2.GetTweetCountsResponse(counts=reversed(counts))

    async def GetUserCounts(self, request: Any, context: Any) -> engage_pb2.GetUserCountsResponse:
        await self._world.served("GetUserCounts")
        world = self._world
        return engage_pb2.GetUserCountsResponse(
            counts=[
                engage_pb2.UserCounts(
                    user_id=user_id,
                    followers_count=sum(1 for _, b in world.follows if b == user_id),
                    following_count=sum(1 for a, _ in world.follows if a == user_id),
                    tweets_count=sum(1 for t in world.tweets.values() if t.author_id == user_id and not t.deleted),
                )
                for user_id in request.user_ids
            ]
        )

    async def ListLikers(self, request: Any, context: Any) -> engage_pb2.ListLikersResponse:
        await self._world.served("ListLikers")
        likers = [user for user, tweet in reversed(self._world.marks["like"]) if tweet == request.tweet_id]
        start = _start(request)
        page = likers[start : start + request.limit]
        more = start + len(page) < len(likers)
        return engage_pb2.ListLikersResponse(
            user_ids=b"".join(page), next_cursor=str(start + len(page)) if more else ""
        )

    async def ListLikes(self, request: Any, context: Any) -> engage_pb2.ListLikesResponse:
        await self._world.served("ListLikes")
        page, more = self._marked("like", request)
        return engage_pb2.ListLikesResponse(tweets=page, has_more=more)

    async def ListBookmarkedTweets(self, request: Any, context: Any) -> engage_pb2.ListBookmarkedTweetsResponse:
        await self._world.served("ListBookmarkedTweets")
        page, more = self._marked("bookmark", request)
        return engage_pb2.ListBookmarkedTweetsResponse(tweets=page, has_more=more)

    def _counts(self, tweet_id: bytes, viewer: bytes) -> engage_pb2.TweetCounts:
        marks = self._world.marks
        return engage_pb2.TweetCounts(
            tweet_id=tweet_id,
            likes_count=sum(1 for _, tweet in marks["like"] if tweet == tweet_id),
            liked=(viewer, tweet_id) in marks["like"],
            bookmarked=(viewer, tweet_id) in marks["bookmark"],
        )

    def _marked(self, kind: str, request: Any) -> tuple[list[engage_pb2.MarkedTweet], bool]:
        mine = [tweet for user, tweet in reversed(self._world.marks[kind]) if user == request.user_id]
        start = _start(request)
        page = mine[start : start + request.limit]
        entries = [
            engage_pb2.MarkedTweet(
                tweet_id=tweet_id, author_id=self._world.tweets[tweet_id].author_id, cursor=str(start + n)
            )
            for n, tweet_id in enumerate(page, 1)
        ]
        return entries, start + len(page) < len(mine)


def _start(request: Any) -> int:
    if request.cursor and not request.cursor.isdigit():
        raise InvalidCursor("not mine")
    return int(request.cursor or 0)
