"""Entries of homes, the part of a home that is asked for, and how a window of arrivals is read as a list in order; no I/O here."""

import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runtime.ids import ms_of, uuid7_of

ID_BYTES = 16
NO_ID = bytes(ID_BYTES)
LAST_ID = b"\xff" * ID_BYTES
ORIGINAL = 0

# How far clocks of different processes may lie apart.
CLOCK_SKEW_MS = 5_000
# Lags of arrivals that are none: of an entry that was put in its place among others, and of one that came too late for four
# bytes, so that the time of its arrival is not known.
PLACED = 0xFFFFFFFF
LAG_UNKNOWN = 0xFFFFFFFE

_VERSION = 0x7
_VARIANT = 0b10


class Entry(NamedTuple):
    """One entry of a home. Entries sort by id, which is by time."""

    entry_id: bytes
    author_id: bytes
    flags: int = ORIGINAL


class Span(NamedTuple):
    """The ids from `low` (included) to `high` (not included)."""

    low: bytes
    high: bytes

    @property
    def empty(self) -> bool:
        """Whether no id can lie in it."""
        return self.low >= self.high

    def holds(self, entry_id: bytes) -> bool:
        """Whether the id lies in it."""
        return self.low <= entry_id < self.high

    def up_to(self, last: bytes) -> "Span":
        """The part of it from its start to `last`, `last` included."""
        return Span(self.low, min(self.high, following(last)))


@dataclass(frozen=True, slots=True)
class Page:
    """Entries newest first, and whether older ones follow within what was asked for."""

    entries: Sequence[Entry]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Window:
    """What was read of the cached window of a home: its latest arrivals.

    `entries` are in order of arrival, latest first, perhaps twice, and not in order of ids. The window, once `ready`, lacks
    no entry whose id is greater than `floor`. `oldest_arrival_ms` is when the last one of `entries` arrived, infinite when
    that is not known; `whole` says that no more arrivals lie behind it, `placed` that it and all behind it were put there in
    the order of their ids. `length` is the number of all arrivals.
    `header` is what is compared when the window is replaced, `token` names the build it comes from.
    """

    ready: bool
    token: bytes
    floor: bytes
    header: bytes
    length: int
    entries: Sequence[Entry]
    oldest_arrival_ms: float
    placed: bool = False

    @property
    def whole(self) -> bool:
        """Whether every arrival was read."""
        return len(self.entries) >= self.length


class OwnRecent(NamedTuple):
    """What the reader did within the last minute. `unknown`: the cache that remembers it may have lost some."""

    tweet_ids: Sequence[bytes] = ()
    deleted_ids: Sequence[bytes] = ()
    graph_version: int = 0
    profile_version: int = 0
    unknown: bool = False


def following(entry_id: bytes) -> bytes:
    """The next 16 bytes in order; the last ones follow themselves."""
    return entry_id if entry_id == LAST_ID else (int.from_bytes(entry_id) + 1).to_bytes(ID_BYTES)


def preceding(entry_id: bytes) -> bytes:
    """The 16 bytes before in order; the first ones precede themselves."""
    return entry_id if entry_id == NO_ID else (int.from_bytes(entry_id) - 1).to_bytes(ID_BYTES)


def span_asked(max_id: bytes, since_id: bytes, now_ms: int, depth_ms: int) -> Span:
    """Ids less than `max_id` and greater than `since_id`, both optional, and not older than the depth of homes."""
    horizon = uuid7_of(max(0, now_ms - depth_ms)).bytes
    low = max(horizon, following(since_id)) if since_id else horizon
    return Span(low, max_id or LAST_ID)


def newest(entries: Iterable[Entry], span: Span, limit: int) -> list[Entry]:
    """The newest `limit` entries of the span, newest first, each id once."""
    once = {entry.entry_id: entry for entry in entries if span.low <= entry.entry_id < span.high}
    return sorted(once.values(), reverse=True)[:limit]


def read_window(window: Window, span: Span, limit: int) -> list[Entry] | None:
    """The newest `limit` entries of the span above the window's floor, newest first; None when more arrivals must be read for it.

    What lies deeper than the arrivals read had arrived before the oldest of them, and no id is newer than its arrival but
    by the skew of clocks. So nothing deeper belongs on the page once that arrival is older than the page's last id by
    more than the skew; or, where the window is in order, once the page's last id was reached.
    """
    above = Span(max(span.low, following(window.floor)), span.high)
    page = newest(window.entries, above, limit)
    if window.whole:
        return page
    last = page[-1].entry_id if len(page) == limit else above.low
    if window.placed:
        return page if window.entries[-1].entry_id <= last else None
    return page if window.oldest_arrival_ms <= ms_of(last) - CLOCK_SKEW_MS else None


def span_behind(window: Window, span: Span) -> Span:
    """The part of the span that the window does not answer for."""
    return span.up_to(window.floor) if window.floor >= span.low else Span(span.low, span.low)


def merged(window: Window, stored: Iterable[Entry], floor: bytes, capacity: int) -> tuple[list[Entry], bytes]:
    """The window's arrivals together with entries of the store, newest first, each once, and the floor of the result.

    `floor` is the greatest id that the store was not read for: 16 zero bytes when it was read to its end.
    """
    floor = max(floor, window.floor)
    above = Span(following(floor), LAST_ID)
    entries = newest([*stored, *window.entries], above, capacity + 1)
    if len(entries) > capacity:
        floor = entries.pop().entry_id
    return entries, floor


def page_of(entries: Iterable[Entry], span: Span, limit: int, more: bool = False) -> Page:
    """A page of the newest entries; `more` when a source knows of older ones that it did not give."""
    found = newest(entries, span, limit + 1)
    return Page(found[:limit], more or len(found) > limit)


def arrived_ms(entry_id: bytes, lag_ms: int) -> float:
    """When an entry arrived in a window, in milliseconds since 1970; infinite when that is not known."""
    return math.inf if lag_ms in {LAG_UNKNOWN, PLACED} else ms_of(entry_id) + lag_ms


def uuid_at_or_after(entry_id: bytes) -> uuid.UUID:
    """The least UUIDv7 that is not less than these 16 bytes.

    CQL compares versions of UUIDs before their bytes, so only UUIDs of version 7 may bound a range of them.
    """
    value = int.from_bytes(entry_id)
    ms, version, variant = value >> 80, value >> 76 & 0xF, value >> 62 & 0b11
    if version != _VERSION:
        return uuid7_of(ms if version < _VERSION else ms + 1)
    if variant == _VARIANT:
        return uuid.UUID(int=value)
    head = value >> 64 & 0xFFF
    if variant < _VARIANT:
        return uuid7_of(ms, head << 62)
    return uuid7_of(ms + (head == 0xFFF), (head + 1) << 62)
