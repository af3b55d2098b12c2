"""Which followers on a page are known to be away, told beside the page at no cost of a query; the rule is in away.py."""

import asyncio
import contextlib
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from aviary.graph.v1.events_pb2 import ReaderSignal

from runtime.errors import Unavailable
from runtime.ids import Clock, split_ids
from runtime.telemetry import logger
from signals.epochs import Epochs
from svc_graph.away import bitmap, day_of, is_away, latest_away, registered_by, with_present
from svc_graph.days import ReaderDays
from svc_graph.metrics import ACTIVITY, DAYS_ASKED
from svc_graph.packed import PackedPage

_LOOKED_UP_AT_ONCE = 1_000
_WAITING = 50_000
_PAGES = 10_000
"""Pages whose bits are kept, or of which it is known that they were asked for."""
_RETURNS = 1_000
_VERDICTS_S = 25 * 60
"""After so long verdicts are old, and after as long again they are forgotten."""
_BITS_S = 300
_BITS_TO_COME_S = 1
"""Bits that lack verdicts are made again after so long: somebody looks the days up meanwhile."""
_LOOK_S = 5

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class ActivityLimits:
    """Who is away, and how much is remembered of it."""

    active_days: int = 30
    """Who read within so many days is active."""
    settled_s: float = 60.0
    """Nobody is taken for away before signals came without a gap for so long: what an outage held up has come by then."""
    readers: int = 500_000
    """Readers of whom a process remembers whether they are away."""

    @property
    def kept_days(self) -> int:
        """For how long days are to be kept."""
        return self.active_days + 10


@dataclass(frozen=True, slots=True)
class _Bits:
    """The bits of a page, as long as it is the same page in the same epoch; `returns` have been worked into them."""

    page: "weakref.ref[PackedPage]"
    bits: bytes
    epoch: int
    returns: int
    until: float


class Activity:
    """What is not known is active: a reader is told as away only while it is certain.

    Days are read from the table behind the answers, for pages that are asked for again. A verdict is believed for an hour at most,
    and while no `ReaderSignal` can have been missed. Whoever stores the day of a reader who may be away tells so after storing it.
    So a verdict either saw the day, or hears of it.
    """

    def __init__(
        self, days: ReaderDays, clock: Clock, limits: ActivityLimits, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._days = days
        self._clock = clock
        self._limits = limits
        self._now = monotonic
        self._epochs = Epochs(monotonic, ReaderSignal)
        self._epoch: int | None = None
        self._epoch_began = monotonic()
        self._since: int | None = None
        # Two ages, so that none is older than twice the time, without a time for each.
        self._young: dict[bytes, bool] = {}
        self._old: dict[bytes, bool] = {}
        self._aged_at = monotonic()
        self._returns = 0
        self._returned: deque[bytes] = deque(maxlen=_RETURNS)
        self._made: OrderedDict[Hashable, _Bits | None] = OrderedDict()
        self._wanted: dict[bytes, None] = {}
        self._work = asyncio.Event()

    async def heard(self, signal: ReaderSignal) -> None:
        """A signal of a process of svc_graph arrived."""
        self._epochs.heard(signal)
        for reader_id in signal.returned_ids:
            self._young.pop(reader_id, None)
            self._old.pop(reader_id, None)
            self._returned.append(reader_id)
            self._returns += 1

    def may_be_away(self, reader_id: bytes, seen: int | None) -> bool:
        """Whether somebody may take a reader for away who read on the day `seen` at last, if any: clocks may be ahead of this one, and
        others may know better since when days are kept.
        """
        return is_away(reader_id, seen, 0, self._latest() + 1)

    def of(self, asked: Hashable, page: PackedPage) -> bytes:
        """The bits of a page, as GetFollowerPageResponse.active has them; `asked` names what was asked for. Reads nothing.

        The first time the page is asked for nothing is known of it: days are read for those only who ask again.
        """
        epoch, now = self._trusted(), self._now()
        if epoch is None or self._since is None or self._since > self._latest():
            ACTIVITY.labels("unknown").inc()
            return b""
        first = asked not in self._made
        made = self._made.pop(asked, None)
        if made and made.page() is page and made.epoch == epoch and now < made.until:
            made = self._brought_up(made, page)
        elif not first:
            made = self._make(page, epoch, now)
        self._made[asked] = made
        if len(self._made) > _PAGES:
            self._made.popitem(last=False)
        bits = made.bits if made else b""
        ACTIVITY.labels("told" if bits else "nobody_away").inc()
        return bits

    async def run(self) -> None:
        """Until cancelled: look up what pages lack, and whether days are kept for long enough."""
        while True:
            try:
                await self._look()
                while self._wanted:
                    await self._look_up(list(islice(self._wanted, _LOOKED_UP_AT_ONCE)))
            except Unavailable as error:
                log.warning("days_not_read", error=error.detail)
            self._work.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._work.wait()

    async def _look(self) -> None:
        """Whether days are kept, and since when."""
        self._trusted()
        self._since = await self._days.kept_since()
        if self._since is None:
            # The first start, or the table was emptied: from here on, and believed when that is long enough ago.
            log.info("reader_days_begin")
            await self._days.begin(day_of(self._clock.now_ms()))

    async def _look_up(self, reader_ids: Sequence[bytes]) -> None:
        """Read days and judge. What was heard meanwhile is newer than the days may be."""
        epoch, returns = self._trusted(), self._returns
        seen = await self._days.seen(reader_ids)
        # After the days: if they were lost before they were read, this is lost, too, or young.
        self._since = await self._days.kept_since()
        DAYS_ASKED.inc(len(reader_ids))
        for reader_id in reader_ids:
            self._wanted.pop(reader_id, None)
        returned = self._returned_after(returns)
        if epoch is None or self._trusted() != epoch or returned is None:
            return
        if len(self._young) + len(reader_ids) > self._limits.readers // 2:
            self._age()
        latest = self._latest()
        for reader_id in set(reader_ids).difference(returned):
            self._young[reader_id] = is_away(reader_id, seen.get(reader_id), self._since, latest)

    def _trusted(self) -> int | None:
        """The epoch in which verdicts hold; None while nobody may be taken for away."""
        epoch, now = self._epochs.epoch(), self._now()
        if epoch != self._epoch:
            self._epoch, self._epoch_began = epoch, now
            self._young, self._old = {}, {}
        if now - self._aged_at >= _VERDICTS_S:
            self._age()
        return epoch if now - self._epoch_began >= self._limits.settled_s else None

    def _age(self) -> None:
        self._old, self._young, self._aged_at = self._young, {}, self._now()

    def _brought_up(self, made: _Bits, page: PackedPage) -> _Bits | None:
        """The bits with those who returned since. None when that is not known any more: then they are made anew the next time."""
        if made.returns == self._returns:
            return made
        returned = self._returned_after(made.returns)
        if returned is None:
            return None
        return replace(made, bits=with_present(made.bits, page.follower_ids, returned), returns=self._returns)

    def _make(self, page: PackedPage, epoch: int, now: float) -> _Bits:
        ids = split_ids(page.follower_ids)
        verdicts = [self._verdict(one) for one in ids[: registered_by(ids, self._latest())]]
        unknown = [one for one, verdict in zip(ids, verdicts, strict=False) if verdict is None]
        if unknown and len(self._wanted) < _WAITING:
            self._wanted.update(dict.fromkeys(unknown))
            self._work.set()
        bits = bitmap([verdict is True for verdict in verdicts], len(ids))
        until = now + (_BITS_TO_COME_S if unknown else _BITS_S)
        return _Bits(weakref.ref(page), bits, epoch, self._returns, until)

    def _verdict(self, reader_id: bytes) -> bool | None:
        verdict = self._young.get(reader_id)
        return self._old.get(reader_id) if verdict is None else verdict

    def _returned_after(self, count: int) -> list[bytes] | None:
        """Who returned after so many did; None when that is more than is remembered."""
        missing = self._returns - count
        return None if missing > len(self._returned) else list(islice(reversed(self._returned), missing))

    def _latest(self) -> int:
        return latest_away(day_of(self._clock.now_ms()), self._limits.active_days)
