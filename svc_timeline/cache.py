"""How reads and backfills use the cached windows: what a cache that is away or changes underneath means; its format is in windows.py."""

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.errors import Unavailable
from runtime.telemetry import logger
from svc_timeline.domain import LAST_ID, Entry, OwnRecent, Span, merged, read_window, span_behind
from svc_timeline.windows import EVERYTHING, Windows

# Arrivals read beyond those of a first page: so many may come within the skew of clocks before a second look is needed.
_MARGIN = 64
_ATTEMPTS = 5

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Cached:
    """What the cache says of a part of a home.

    `entries` are its newest, None when there is no window to trust; `behind` is the part that they do not answer for.
    `reachable` is false when the cache did not answer.
    """

    entries: Sequence[Entry] | None
    behind: Span
    recent: OwnRecent
    reachable: bool = True

    @property
    def outcome(self) -> str:
        """How the read went, for metrics."""
        if self.entries is not None:
            return "window"
        return "no_window" if self.reachable else "no_cache"


class HomeCache:
    """The windows, for readers that go on without them and for changes that must not be lost in them."""

    def __init__(self, windows: Windows, capacity: int) -> None:
        self._windows = windows
        self._capacity = capacity

    async def look(self, user_id: bytes, span: Span, wanted: int) -> Cached:
        """The newest `wanted` entries of the span, in one round trip unless many came at once. Never raises."""
        # Behind the first page nobody knows how deep the page lies; the whole window costs less than a second look.
        first = wanted + _MARGIN
        counts = (first, first * 4, EVERYTHING) if span.high == LAST_ID else (EVERYTHING,)
        try:
            for count in counts:
                glance = await self._windows.look(user_id, count)
                window = glance.window
                if window is None or not window.ready:
                    break
                entries = read_window(window, span, wanted)
                if entries is not None:
                    return Cached(entries, span_behind(window, span), glance.recent)
        except Unavailable as error:
            log.warning("cache_away", error=str(error))
            return Cached(None, span, OwnRecent(unknown=True), reachable=False)
        return Cached(None, span, glance.recent)

    async def insert(self, user_id: bytes, entries: Sequence[Entry]) -> None:
        """Put entries that are already stored at their place in a window, if there is one. Raises Unavailable.

        Unlike a push this pushes nothing out but the window's oldest: what is inserted is old, a push would count as new.
        """
        for _ in range(_ATTEMPTS):
            window = (await self._windows.look(user_id, EVERYTHING)).window
            if window is None or not any(entry.entry_id > window.floor for entry in entries):
                return
            together, floor = merged(window, entries, window.floor, self._capacity)
            if await self._windows.replace(user_id, window, together, floor, ready=window.ready):
                return
        # Without the window the next read builds it from the store, which has the entries.
        await self._windows.drop(user_id)
