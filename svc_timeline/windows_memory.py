"""The promises of the cached windows kept in memory, for unit tests and simulation; their format in Redis is in windows.py."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from readers.recent import KEPT_S
from readers.recent_memory import MemoryRecent
from runtime.errors import Unavailable
from runtime.ids import Clock
from svc_timeline.config import Limits
from svc_timeline.domain import NO_ID, Entry, OwnRecent, Window
from svc_timeline.windows import TAKEOVER_MS, Glance, recent_of


@dataclass(slots=True)
class _Kept:
    """One window: arrivals with their times, latest first; without a time what was put in its place."""

    token: bytes
    marked_ms: int
    ready: bool = False
    floor: bytes = NO_ID
    revision: int = 0
    arrivals: list[tuple[Entry, float | None]] = field(default_factory=list)

    def header(self) -> bytes:
        return b"%d %s %d" % (self.ready, self.token, self.revision)


class MemoryWindows:
    """Windows in a dictionary, beside what users did lately; `away` makes the cache not answer, `clear` empties it."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._capacity = limits.window
        self._slack = max(1, limits.window // 8)
        self._ttl_ms = limits.window_ttl_s * 1000
        self._windows: dict[bytes, _Kept] = {}
        self._expiry_ms: dict[bytes, int] = {}
        self._recent = MemoryRecent(clock)
        # Since when nothing was forgotten; None after it was, until somebody looks.
        self._since_ms: int | None = 0
        self.takeover_ms = TAKEOVER_MS
        self.away = False

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """As readers.recent.RecentWrites.record, but raises Unavailable while the cache is away."""
        self._ensure_here()
        self._recent.add(user_id, kind, value)
        return True

    def clear(self) -> None:
        """Empty the cache; what users did lately is not known from now on."""
        self._windows.clear()
        self._recent.clear()
        self._since_ms = None

    async def push(self, user_ids: Sequence[bytes], entry: Entry) -> list[bytes]:
        """See Windows."""
        have = [user_id for user_id in user_ids if self._window(user_id) is not None]
        for user_id in have:
            kept = self._windows[user_id]
            kept.arrivals.insert(0, (entry, self._clock.now_ms()))
            if len(kept.arrivals) > self._capacity + self._slack:
                self._trim(kept)
        return have

    async def look(self, user_id: bytes, count: int) -> Glance:
        """See Windows."""
        kept = self._window(user_id)
        recent = self._lately(user_id)
        if kept is None:
            return Glance(None, recent)
        self._touch(user_id)
        seen = kept.arrivals[:count]
        oldest = seen[-1][1] if seen else math.inf
        window = Window(
            ready=kept.ready,
            token=kept.token,
            floor=kept.floor,
            header=kept.header(),
            length=len(kept.arrivals),
            entries=[entry for entry, _ in seen],
            oldest_arrival_ms=math.inf if oldest is None else oldest,
            placed=oldest is None,
        )
        return Glance(window, recent)

    async def mark_building(self, user_id: bytes, token: bytes) -> bool:
        """See Windows."""
        kept = self._window(user_id)
        now = self._clock.now_ms()
        if kept is None:
            kept = self._windows[user_id] = _Kept(token, now)
        elif kept.ready or now - kept.marked_ms < self.takeover_ms:
            return False
        kept.token, kept.marked_ms, kept.revision = token, now, kept.revision + 1
        self._touch(user_id)
        return True

    async def replace(
        self, user_id: bytes, seen: Window, entries: Sequence[Entry], floor: bytes, *, ready: bool
    ) -> bool:
        """See Windows."""
        kept = self._window(user_id)
        if kept is None or kept.header() != seen.header:
            return False
        pushed = kept.arrivals[: len(kept.arrivals) - seen.length]
        kept.arrivals = pushed + [(entry, None) for entry in entries]
        kept.floor, kept.ready, kept.revision = floor, ready, kept.revision + 1
        self._touch(user_id)
        return True

    async def drop(self, user_id: bytes) -> None:
        """See Windows."""
        self._window(user_id)
        self._windows.pop(user_id, None)

    def _window(self, user_id: bytes) -> _Kept | None:
        self._ensure_here()
        if self._expiry_ms.get(user_id, 0) <= self._clock.now_ms():
            self._windows.pop(user_id, None)
        return self._windows.get(user_id)

    def _touch(self, user_id: bytes) -> None:
        self._expiry_ms[user_id] = self._clock.now_ms() + self._ttl_ms

    def _lately(self, user_id: bytes) -> OwnRecent:
        now = self._clock.now_ms()
        if self._since_ms is None:
            self._since_ms = now
        return recent_of(self._recent.of(user_id), unknown=now - self._since_ms < KEPT_S * 1000)

    def _ensure_here(self) -> None:
        if self.away:
            raise Unavailable("the cache does not answer", retry_after_s=1)

    def _trim(self, kept: _Kept) -> None:
        dropped = [entry.entry_id for entry, _ in kept.arrivals[self._capacity :]]
        kept.arrivals = kept.arrivals[: self._capacity]
        kept.floor = max(kept.floor, *dropped)
        kept.revision += 1
