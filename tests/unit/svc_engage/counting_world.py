"""A log, owners that count it, and what must be true of what they store; the machine and the store in memory are the real ones."""

import asyncio
import functools
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, TypeVar, cast

from aviary.engage.v1.events_pb2 import CountsChanged, LikeSet
from aviary.graph.v1.events_pb2 import FollowerSet, FollowSet
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted
from google.protobuf.message import Message

from ordered import Item, Slice
from runtime.errors import Unavailable
from runtime.faults import Faults
from simulation.loop import SimulatedLoop
from svc_engage.counting import Log, Machine, Rounds, Teller
from svc_engage.counting.known import KnownRows
from svc_engage.domain.levels import Levels
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.relations import Change, Count, Kind, Row, Subject
from svc_engage.events import like_state
from svc_engage.store import EngageStore
from svc_engage.store_memory import MemoryEngageStore
from tests.storing import store_like
from tests.waiting import until

T = TypeVar("T")
PARTITION = 7
MS = 1_700_000_000_000
LEVELS = Levels((2, 4))
"""Rows are split from the second member on, so that every test crosses levels."""
TWEETS, USERS = [bytes([1, n]) * 8 for n in range(3)], [bytes([2, n]) * 8 for n in range(5)]


def run(main: Coroutine[Any, Any, T]) -> T:
    """In virtual time."""
    return SimulatedLoop().run(main)  # type: ignore[abstract]  # what it lacks nobody here calls


def like(user: int, tweet: int = 0, liked: bool = True) -> LikeSet:
    """A like, or its end."""
    event = LikeSet(tweet_id=TWEETS[tweet], author_id=USERS[0], user_id=USERS[user], liked=liked, level=1)
    event.occurred_at.FromMilliseconds(MS)
    return event


def follow(follower: int, followee: int, version: int, following: bool = True) -> FollowSet:
    """A follow in the follower's partition."""
    return FollowSet(follower_id=USERS[follower], followee_id=USERS[followee], following=following, version=version)


def followed(follower: int, followee: int, version: int, following: bool = True) -> FollowerSet:
    """The same in the followee's."""
    return FollowerSet(follower_id=USERS[follower], followee_id=USERS[followee], following=following, version=version)


def tweeted(tweet: int, author: int, deleted: bool = False) -> TweetCreated | TweetDeleted:
    """A tweet, or its end."""
    made = TweetDeleted if deleted else TweetCreated
    return made(tweet_id=TWEETS[tweet], author_id=USERS[author])


class Clock:
    """Stands still."""

    def now_ms(self) -> int:
        return MS

    def now_us(self) -> int:
        return MS * 1000


class NoBus:
    """Hears signals."""

    def __init__(self) -> None:
        self.heard: list[CountsChanged] = []

    async def signal(self, message: CountsChanged) -> None:
        self.heard.append(message)


class Cache:
    """Redis, which may be away."""

    def __init__(self) -> None:
        self.away = False
        self.counts: dict[Subject, Count] = {}
        self.marks: dict[tuple[bytes, bytes], Mark] = {}

    async def put(self, counts: Mapping[Subject, Count]) -> None:
        if self.away:
            raise Unavailable("redis is away")
        for subject, count in counts.items():
            if count.as_of >= self.counts.get(subject, Count()).as_of:
                self.counts[subject] = count

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        self.marks[user_id, tweet_id] = mark


class Gate:
    """Where one owner waits before each thing that it asks of the store; a test lets it go on, or makes it fail."""

    def __init__(self) -> None:
        self.open = False
        self.waiting: list[tuple[str, asyncio.Future[str]]] = []

    async def passing(self, name: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait, then do it; or do it and say that it failed; or not do it."""
        if self.open:
            return await call()
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append((name, turn))
        how = await turn
        if how == "refuse":
            raise Unavailable("the store is away")
        answer = await call()
        if how == "ghost":
            raise Unavailable("nobody knows whether it was stored")
        return answer

    def let(self, which: int, how: str = "pass") -> bool:
        """Decide about one that waits; false when none does."""
        self.waiting = [one for one in self.waiting if not one[1].done()]
        if not self.waiting:
            return False
        self.waiting.pop(which % len(self.waiting))[1].set_result(how)
        return True

    def let_all(self) -> None:
        """From now on nobody waits."""
        self.open = True
        while self.waiting:
            self.let(0)


class Gated:
    """The store behind a gate."""

    def __init__(self, store: EngageStore, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        @functools.wraps(method)
        async def gated(*args: Any, **named: Any) -> Any:
            return await self._gate.passing(name, lambda: method(*args, **named))

        return gated


class Owner:
    """A process that believes that it owns the partition."""

    def __init__(self, world: "World", gated: bool) -> None:
        self._world = world
        self.gate = Gate()
        self.gate.open = not gated
        self.at = -1
        self.taking: list[asyncio.Task[None]] = []
        self.faults = Strikes()
        store: Any = Gated(world.store, self.gate)
        cache, bus = cast(Any, world.cache), cast(Any, world.bus)
        self.teller = Teller(cache, bus)
        self.paying = asyncio.create_task(self.teller.run())
        self.recounts: list[Any] = []
        self.rounds = Rounds(store, self.teller, Clock(), LEVELS, self.faults)
        self.machine = Machine(
            world.log, store, self.rounds, lambda partition, subjects: self.recounts.append((partition, subjects))
        )

    async def take(self, most: int = 100, lost: bool = False) -> None:
        """Hand over the next facts, after the position was loaded once."""
        if self.at < 0:
            self.at = await self.machine.load(PARTITION)
        items = [item for item in self._world.items if item.place > self.at][:most]
        if items or lost:
            self.at = max([self.at, *(item.place for item in items)])
            await self.machine.handle(Slice(PARTITION, 1, items, self.at, lost))

    async def die(self) -> None:
        """Nothing that was begun goes on."""
        for task in self.taking:
            task.cancel()
        await asyncio.gather(*self.taking, return_exceptions=True)
        self.paying.cancel()
        await self.rounds.close()
        await self.machine.close()

    def lose(self) -> None:
        """The partition is somebody else's; when it comes back, what is stored of it is read as by any new owner."""
        self.at = -1

    async def done(self) -> None:
        """Returns when all that was taken is in counts and rows, whatever Redis knows."""

        def counted() -> bool:
            memory = self.machine.memory(PARTITION)
            return memory is None or (not memory.queue and memory.counted >= memory.until)

        await until(counted)


class Strikes(Faults):
    """Raises at a point instead of killing."""

    def __init__(self) -> None:
        super().__init__()
        self.point = ""
        self.passed: list[str] = []

    def at(self, point: str) -> None:
        self.passed.append(point)
        if point == self.point:
            self.point = ""
            raise RuntimeError(f"killed at {point}")


class World:
    """One partition of one log."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.items: list[Item] = []
        self.store = MemoryEngageStore()
        self.cache, self.bus = Cache(), NoBus()
        self._as_of: dict[Subject, int] = {}

    def publish(self, *events: Message) -> None:
        """At the end of the log."""
        for event in events:
            place = len(self.items) + 1
            self.items.append(Item(event, place, place))

    def replay(self, number: int) -> None:
        """An event of before comes again, as a dead letter does: at the end, with the place that it had at first."""
        if self.items:
            old = self.items[number % len(self.items)]
            self.items.append(Item(old.event, old.at, len(self.items) + 1))

    async def requested(self, item: Item, known: KnownRows | None = None) -> None:
        """A request has written what it must for a like that it announced; it may have been one of the process that knows this."""
        state = like_state(item.event, item.at)
        before = await self.store.mark(state.user_id, MarkKind.LIKE, state.tweet_id)
        if before.at < state.at:
            delta = state.liked - before.present
            await store_like(self.store, state, before, delta)
            if known is not None:
                known.wrote(state, state.mark(before, delta))

    def changes(self) -> list[Change]:
        """All that the log says."""
        return [self.log.change_of(item) for item in self.items]

    def truth(self, up_to: int) -> dict[Subject, set[bytes]]:
        """Who is a member when the log is read up to a place."""
        latest: dict[tuple[Subject, bytes], Change] = {}
        for change in self.changes():
            known = latest.get((change.subject, change.member))
            if change.place <= up_to and (known is None or change.version > known.version):
                latest[change.subject, change.member] = change
        members: dict[Subject, set[bytes]] = {change.subject: set() for change in self.changes()}
        for (subject, member), change in latest.items():
            if change.present:
                members[subject].add(member)
        return members

    async def check(self) -> None:
        """At any moment: what is stored is right for the place it names, and no count ever goes back behind another."""
        for subject, count in (await self.store.counts({c.subject for c in self.changes()})).items():
            assert count.count == len(self.truth(count.as_of)[subject])
            assert count.as_of >= self._as_of.get(subject, 0)
            self._as_of[subject] = count.as_of

    async def rows(self) -> dict[Subject, set[bytes]]:
        """The counted members of every subject."""
        wanted: dict[Subject, Collection[bytes]] = {}
        for change in self.changes():
            wanted[change.subject] = {*wanted.get(change.subject, ()), change.member}
        found = await self.store.rows(wanted, dict.fromkeys(wanted, 2))
        return {s: {m for m, row in members.items() if row.counted} for s, members in found.items()}

    async def rows_of(self, subject: Subject) -> dict[bytes, Row]:
        """Rows of all whom the log names."""
        members = {change.member for change in self.changes() if change.subject == subject}
        return (await self.store.rows({subject: members}, {subject: 2}))[subject]

    async def counts(self) -> dict[Subject, int]:
        """Of every subject of the log."""
        found = await self.store.counts({change.subject for change in self.changes()})
        return {subject: count.count for subject, count in found.items()}

    async def all_is_right(self) -> None:
        """When all is counted: counts, rows, the cache and, of likes, the lists agree with the log."""
        await self.check()
        truth = self.truth(len(self.items))
        sizes = {subject: len(members) for subject, members in truth.items()}
        assert await self.rows() == truth
        assert await self.counts() == sizes
        assert {subject: count.count for subject, count in self.cache.counts.items()} == sizes
        assert await self.store.position(self.log.durable, PARTITION) == len(self.items)
        for subject, members in truth.items():
            if subject.kind == Kind.LIKES:
                listed = await self.store.list_likers(subject.subject_id, 2, None, 100)
                assert {one.user_id for one in listed} == members


async def counted(world: World, owner: Owner | None = None, most: int = 100) -> None:
    """Somebody counts all that is there."""
    owner = owner or Owner(world, gated=False)
    owner.gate.let_all()
    while owner.at < len(world.items):
        await owner.take(most)
    await owner.done()
    if not world.cache.away:
        await owner.rounds.drain()
