"""The promises of the count cache kept in memory, for unit tests and simulation; their format in Redis is in redis.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from readers.recent_memory import MemoryRecent
from runtime.errors import Unavailable
from runtime.ids import Clock
from svc_engage.cache.port import AUTHORS_KEPT, MARKS_KEPT, MARKS_MOST, Glance, Interactions, Marks
from svc_engage.domain.families import SLOT_OF, Family, Slots, later, unknown
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.overlay import UNTOUCHED, Both, Stated, later_of, latest_likes, own_recent
from svc_engage.domain.relations import Count, Subject
from svc_engage.domain.weights import grown


@dataclass(slots=True)
class _Counted:
    token: bytes
    slots: Slots


@dataclass(slots=True)
class _Marked:
    states: dict[bytes, Both] = field(default_factory=dict)
    floor: bytes | None = None
    build: bytes = b""


class MemoryCountCache:
    """Counts and marks in dictionaries, beside what users did lately; `away` makes the cache not answer, `clear` empties it.

    Nothing expires but what users did lately: an expiry is a `clear` of one key.
    """

    def __init__(self, clock: Clock, marks_kept: int = MARKS_KEPT, marks_most: int = MARKS_MOST) -> None:
        self._clock = clock
        self._marks_kept, self._marks_most = marks_kept, marks_most
        self._tokens = 0
        self._counts: dict[tuple[Family, bytes], _Counted] = {}
        self._marks: dict[bytes, _Marked] = {}
        self._interactions: dict[bytes, Interactions | bytes] = {}
        self._recent = MemoryRecent(clock)
        self._owed: set[bytes] = set()
        self.away = False

    def clear(self) -> None:
        """Empty the cache."""
        self._counts.clear()
        self._marks.clear()
        self._interactions.clear()
        self._recent.clear()

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """As readers.recent.RecentWrites.record, but raises Unavailable while the cache is away."""
        self._ensure_here()
        self._recent.add(user_id, kind, value)
        return True

    async def put(self, counts: Mapping[Subject, Count]) -> None:
        """See CountCache."""
        self._ensure_here()
        for (subject_id, kind), count in counts.items():
            family, number = SLOT_OF[kind]
            kept = self._counted(family, subject_id)
            if count.as_of >= kept.slots[2 * number + 1]:
                slots = list(kept.slots)
                slots[2 * number : 2 * number + 2] = count.count, count.as_of
                kept.slots = tuple(slots)

    async def look(self, family: Family, viewer_id: bytes, ids: Sequence[bytes]) -> Glance:
        """See CountCache."""
        self._ensure_here()
        found = [self._counts.get((family, one)) for one in ids]
        counts = [None if kept is None else kept.slots for kept in found]
        if not viewer_id:
            return Glance(counts)
        marked = self._marks.get(viewer_id, _Marked()) if family is Family.TWEET else _Marked()
        states = {one: marked.states[one] for one in ids if one in marked.states}
        return Glance(counts, Marks(marked.floor, states), own_recent(self._recent.of(viewer_id)))

    async def recent_likes(self, user_id: bytes) -> Mapping[bytes, int]:
        """See CountCache."""
        self._ensure_here()
        return latest_likes(own_recent(self._recent.of(user_id)))

    async def reserve(self, family: Family, ids: Sequence[bytes]) -> list[bytes]:
        """See CountCache."""
        self._ensure_here()
        return [self._counted(family, one).token for one in ids]

    async def fill(self, family: Family, counts: Mapping[bytes, tuple[bytes, Slots]]) -> None:
        """See CountCache."""
        self._ensure_here()
        for subject_id, (token, slots) in counts.items():
            kept = self._counts.get((family, subject_id))
            if kept is not None and kept.token == token:
                kept.slots = later(kept.slots, slots)

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        """See CountCache."""
        if self.away:
            self._owed.add(user_id)
            return
        self._ensure_here()
        stated = Stated(mark.present, mark.at)
        marked = self._marks.setdefault(user_id, _Marked())
        old = marked.states.get(tweet_id, UNTOUCHED)
        both = later_of(old, Both(like=stated) if kind is MarkKind.LIKE else Both(bookmark=stated))
        if both == old:
            return
        marked.states[tweet_id] = both
        if len(marked.states) > self._marks_most:
            self._trim(user_id, marked)
        if kind is MarkKind.LIKE and mark.delta:
            self._engage(user_id, mark)

    async def forget(self, user_id: bytes) -> None:
        """Forget what a user marked and with whom they engaged: what is owed is paid so."""
        self._ensure_here()
        self._marks.pop(user_id, None)
        self._interactions.pop(user_id, None)

    async def begin_marks(self, user_id: bytes, token: bytes) -> None:
        """See CountCache."""
        self._ensure_here()
        self._marks.setdefault(user_id, _Marked()).build = token

    async def fill_marks(self, user_id: bytes, token: bytes, states: Mapping[bytes, Both], floor: bytes) -> bool:
        """See CountCache."""
        self._ensure_here()
        marked = self._marks.get(user_id, _Marked())
        if marked.build != token:
            return False
        for tweet_id, both in states.items():
            marked.states[tweet_id] = later_of(marked.states.get(tweet_id, UNTOUCHED), both)
        marked.floor, marked.build = floor, b""
        return True

    async def interactions(self, user_id: bytes) -> Interactions | None:
        """See CountCache."""
        self._ensure_here()
        known = self._interactions.get(user_id)
        return None if isinstance(known, bytes) else known

    async def begin_interactions(self, user_id: bytes, token: bytes) -> None:
        """See CountCache."""
        self._ensure_here()
        self._interactions[user_id] = token

    async def fill_interactions(self, user_id: bytes, token: bytes, known: Interactions) -> None:
        """See CountCache."""
        self._ensure_here()
        if self._interactions.get(user_id) == token:
            heaviest = sorted(known.weights.items(), key=lambda one: -one[1])[:AUTHORS_KEPT]
            self._interactions[user_id] = Interactions(known.base_ms, dict(heaviest))

    def _counted(self, family: Family, subject_id: bytes) -> _Counted:
        key = (family, subject_id)
        if key not in self._counts:
            self._tokens += 1
            self._counts[key] = _Counted(self._tokens.to_bytes(8), unknown(family))
        return self._counts[key]

    def _trim(self, user_id: bytes, marked: _Marked) -> None:
        if marked.floor is None:
            del self._marks[user_id]
            return
        newest = sorted(marked.states, reverse=True)[: self._marks_kept]
        # As in Redis: whole milliseconds go or stay.
        oldest = newest[-1][:6]
        marked.states = {one: both for one, both in marked.states.items() if one[:6] >= oldest}
        marked.floor, marked.build = max(marked.floor, oldest + bytes(10)), b""

    def _engage(self, user_id: bytes, mark: Mark) -> None:
        known = self._interactions.get(user_id)
        if isinstance(known, bytes) or mark.delta < 0:
            self._interactions.pop(user_id, None)
        elif known is not None:
            weights = dict(known.weights)
            if mark.author_id not in weights and len(weights) >= AUTHORS_KEPT:
                del weights[min(weights, key=weights.__getitem__)]
            added = grown(mark.marked_ms - known.base_ms)
            weights[mark.author_id] = weights.get(mark.author_id, 0.0) + added
            self._interactions[user_id] = Interactions(known.base_ms, weights)

    def _ensure_here(self) -> None:
        if self.away:
            raise Unavailable("the cache does not answer", retry_after_s=1)
        for user_id in self._owed:
            self._marks.pop(user_id, None)
            self._interactions.pop(user_id, None)
        self._owed.clear()
