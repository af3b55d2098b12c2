"""The way to the servers that survive crashes, database and cache: delays, outages, and writes of which nobody knows the outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message

from cql_client import OutcomeUnknown, until_acknowledged
from outbox import Outbox, OutboxRow
from readers.recent import BOOKMARK, FOLLOW, GRAPH_VERSION, LIKE, LIKING, OwnWrite, OwnWrites
from runtime.errors import Unavailable
from simulation.dice import Dice
from simulation.history import History
from simulation.loop import NOBODY, SimulatedLoop, pause
from simulation.outbox import MemoryOutboxTable

Effect = Callable[[], Awaitable[Any]]

REPLAYED_WITHIN_S = 8.0
"""A batch log replays within this time once the database is there; less than the relay's last age."""
_SLOW_S = 1.5
# How often a way is long enough for something else to happen meanwhile.
_FAR = 0.25
_READS = frozenset({"get", "get_many", "list_by_author", "list_all_by_author", "edges", "versions", "list_following",
    "list_followers", "snapshot", "follower_page", "followers_among", "follower_shards", "packed_page",
    "follows_from", "followees_page", "newest_followees",
    "stances", "blockers_among", "list_stances", "viewer_versions", "ties", "standing_count", "kept_snapshot",
    "claims", "renames", "get_users", "list_users",
    "get_session", "get_sessions", "list_sessions", "count_listed", "is_listed", "knows_address", "password", "standings",
    "read", "rows", "count", "watermark", "last_read_day", "seen", "kept_since",
    "counts", "position", "positions", "mark", "marks", "newest_marks", "list_marked", "list_likers"})  # fmt: skip
# What the CQL stores repeat until it is acknowledged, and for how long; other writes are tried once.
_BUDGETS_S = {"claim": 1.5, "insert": 2.5, "delete": 2.5, "apply": 2.5, "insert_account": 2.5, "take_over": 2.5,
    "put_renames": 2.5,
    "update_account": 2.5, "insert_session": 2.5, "rotate_session": 2.5, "end_session": 2.5, "unlist_session": 2.5,
    "set_password": 2.5, "remember_address": 2.5,
    "list_likes": 2.5, "state_likes": 2.5, "set_bookmark": 2.5, "set_stance": 2.5, "raise_versions": 2.5,
    "set_read_day": 2.5}  # fmt: skip


class Server:
    """A server that may be away for a while and keeps what it has."""

    def __init__(self, name: str, loop: SimulatedLoop, dice: Dice, history: History) -> None:
        self.name = name
        self.loop = loop
        self.dice = dice
        self.history = history
        self._back_at = 0.0

    @property
    def away(self) -> bool:
        """Whether nobody reaches it."""
        return self.loop.now < self._back_at

    @property
    def back_in_s(self) -> float:
        """Seconds until it is there again."""
        return max(0.0, self._back_at - self.loop.now)

    def go_away(self, seconds: float) -> None:
        """Be out of reach for a while."""
        self.history.note(self.name, "is away for", f"{seconds:.1f} s")
        self._back_at = self.loop.now + seconds

    def come_back(self) -> None:
        """Be there."""
        self._back_at = self.loop.now

    async def way(self) -> None:
        """One way to it or back; often so short that nothing happens meanwhile. Raises Unavailable, after a while, when it is away."""
        if self.dice.roll() < _FAR:
            await pause(self.dice.hop())
        if self.loop.now < self._back_at:
            await pause(self.dice.between(0, 1.0))
            raise Unavailable(f"{self.name} does not answer", retry_after_s=1)


class Database(Server):
    """The CQL server: what is acknowledged is stored, the rest perhaps, now or when a batch log is replayed."""

    async def reach(self, name: str, effect: Effect) -> Any:
        """Call a method of a store over there, as the stores over CQL do."""
        if name in _READS:
            await self.way()
            found = await effect()
            if self.dice.roll() < _FAR / 2:
                await self.way()
            return found
        budget_s = _BUDGETS_S.get(name)
        if budget_s is None:
            return await self._write(name, effect)
        return await until_acknowledged(lambda: self._write(name, effect), budget_s)

    async def _write(self, name: str, effect: Effect) -> Any:
        try:
            await self.way()
        except Unavailable as error:
            self._perhaps_later(name, effect)
            raise OutcomeUnknown(error.detail, retry_after_s=1) from error
        if self.dice.roll() < self.dice.odds.slow:
            await pause(self.dice.between(0, _SLOW_S))
        if self.dice.roll() < self.dice.odds.unsure:
            if self.dice.roll() < 0.5:
                self.history.note(self.name, "does and does not confirm", name)
                await effect()
            else:
                self._perhaps_later(name, effect)
            raise OutcomeUnknown(f"{self.name} did not confirm", retry_after_s=1)
        answer = await effect()
        if self.dice.roll() < _FAR / 2:
            await self.way()
        return answer

    def _perhaps_later(self, name: str, effect: Effect) -> None:
        if self.dice.roll() < 0.5:
            wait_s = self.back_in_s + self.dice.between(0, REPLAYED_WITHIN_S)
            self.loop.call_later(wait_s, self._replay, name, effect, context=NOBODY)

    def _replay(self, name: str, effect: Effect) -> None:
        self.history.note(self.name, "replays", name)
        at_once(effect())


class Cache(Server):
    """The Redis server: may do what it did not confirm."""

    async def reach(self, name: str, effect: Effect) -> Any:
        """Call a method of what is kept over there."""
        await self.way()
        answer = await effect()
        if self.dice.roll() < _FAR / 2:
            await self.way()
        return answer


class Remote:
    """An object on a server as a process sees it: every method is a coroutine that takes the way there and back."""

    def __init__(self, there: Any, reach: Callable[[str, Effect], Awaitable[Any]]) -> None:
        self._there = there
        self._reach = reach

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._there, name)

        def call(*args: Any, **named: Any) -> Awaitable[Any]:
            return self._reach(name, self._effect(method, args, named))

        setattr(self, name, call)
        return call

    def _effect(self, method: Callable[..., Any], args: Any, named: Any) -> Effect:
        return partial(method, *args, **named) if args or named else method


class Announcing(Remote):
    """A remote store that writes announcements into the outbox of the process that uses it, together with what they announce."""

    def __init__(self, there: Any, database: Database, outbox: Outbox[OutboxRow], disk: "Disk", name: str = "") -> None:
        super().__init__(there, database.reach)
        self._outbox = outbox
        self._disk = disk

    def _effect(self, method: Callable[..., Any], args: Any, named: Any) -> Effect:
        if "announce" not in named:
            return super()._effect(method, args, named)
        # The rows are made once, as the batch of a CQL store is, however often it is sent.
        rows = {row.envelope.event_id: row for row in map(self._outbox.row, events_of(named["announce"]))}

        async def together() -> Any:
            self._disk.coming = rows
            return await method(*args, **named)

        return together


class Disk:
    """The outbox rows of an area, and what a memory store calls to write one."""

    def __init__(self, table: MemoryOutboxTable) -> None:
        self.table = table
        self.coming: dict[bytes, OutboxRow] = {}

    def announce(self, event: Any) -> None:
        """Write the row of an announcement that is being stored."""
        if event.event_id not in self.coming:
            kind = type(event).__name__
            raise KeyError(
                f"no row for {kind}: the store's method must be called with `announce=` one event, or several"
            )
        self.table.write(self.coming[event.event_id])


class RemoteTable(Remote):
    """Outbox tables on the database. A relay looks at them all the time, so a look that finds nothing takes no time."""

    def __init__(self, there: MemoryOutboxTable, database: Database) -> None:
        super().__init__(there, database.reach)
        self._table = there
        self._database = database

    async def rows(self, first: int, last: int) -> list[OutboxRow]:
        """See OutboxTable."""
        if self._table.empty and not self._database.away:
            return []
        found: list[OutboxRow] = await self._reach("rows", partial(self._table.rows, first, last))
        return found

    def insert(self, row: OutboxRow) -> OutboxRow:
        """See OutboxTable."""
        return row


class RemoteOwnWrites:
    """What users did lately, recorded in the cache."""

    def __init__(self, windows: OwnWrites, cache: Cache, missed: set[bytes]) -> None:
        self._remote = Remote(windows, cache.reach)
        self._cache = cache
        self._missed = missed

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """As readers.recent.RecentWrites."""
        try:
            return bool(await self._remote.record(user_id, kind, value))
        except Unavailable:
            self._cache.history.note(self._cache.name, "misses a write of", user_id, value)
            if kind in (GRAPH_VERSION, FOLLOW):
                self._missed.add(user_id)
            elif kind != LIKING:
                # Who sees their like does not depend on its beginning.
                self._missed.add(user_id + value[:16] if kind in (LIKE, BOOKMARK) else value[:16])
            return False

    async def record_all(self, writes: Sequence[OwnWrite]) -> bool:
        """As readers.recent.RecentWrites: a connection that ends on the way leaves some of them, and here any."""
        return all(await asyncio.gather(*(self.record(*write) for write in writes)))


def events_of(announce: Message | Sequence[Message]) -> Sequence[Message]:
    """One announcement or several, as several."""
    return [announce] if isinstance(announce, Message) else announce


def at_once(work: Any) -> Any:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError(f"{work!r} waits, and must not")


async def for_ever() -> None:
    """Wait for nothing."""
    await asyncio.get_running_loop().create_future()
