"""The promises of EngageStore in memory, for unit tests and simulation; nothing here survives the process."""

import functools
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from svc_engage.domain.marks import (
    UNMARKED,
    LikeSetting,
    Listed,
    Mark,
    MarkKind,
    Placed,
    PlacedLiker,
    listed_at,
    marks_of,
    year_begins,
    year_of,
    year_of_ms,
)
from svc_engage.domain.relations import NEVER, NOTHING, Count, Kind, Row, Subject, merged
from svc_engage.store import Counted, Position

_UserMarks = dict[bytes, Mark]


class MemoryEngageStore:
    """EngageStore in dictionaries. No method awaits, so each is atomic."""

    def __init__(self) -> None:
        self._counts: dict[Subject, Count] = {}
        self._rows: dict[Subject, dict[bytes, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
        self._positions: dict[str, dict[int, int]] = defaultdict(dict)
        self._marks: dict[tuple[bytes, MarkKind], _UserMarks] = defaultdict(dict)
        self._likers: dict[bytes, set[PlacedLiker]] = defaultdict(set)

    async def counts(self, subjects: Collection[Subject]) -> dict[Subject, Count]:
        """See EngageStore."""
        return {subject: self._counts[subject] for subject in subjects if subject in self._counts}

    async def put_counts(self, counts: Mapping[Subject, Count], repaired: bool = False) -> None:
        """See EngageStore."""
        for subject, count in counts.items():
            known = self._counts.get(subject, NOTHING)
            newer = subject not in self._counts or _overwrites(count.as_of, known.as_of, repaired)
            self._counts[subject] = replace(count if newer else known, level=max(count.level, known.level))

    async def rows(
        self, wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
    ) -> dict[Subject, dict[bytes, Row]]:
        """See EngageStore."""
        return {subject: self._found(subject, members, levels.get(subject, 0)) for subject, members in wanted.items()}

    async def put_counted(self, rows: Sequence[Counted], repaired: bool = False) -> None:
        """See EngageStore."""
        for subject, member, level, row in rows:
            at_levels = self._rows[subject][member]
            stored = at_levels.get(level, NEVER)
            if level not in at_levels or _overwrites(row.counted_at, stored.counted_at, repaired):
                at_levels[level] = replace(row, present=stored.present, at=stored.at, since=stored.since)

    async def position(self, durable: str, partition: int) -> int:
        """See EngageStore."""
        return self._positions[durable].get(partition, 0)

    async def positions(self, durable: str) -> dict[int, int]:
        """See EngageStore."""
        return dict(self._positions[durable])

    async def put_positions(self, positions: Collection[Position]) -> None:
        """See EngageStore."""
        for durable, partition, place in positions:
            known = self._positions[durable]
            known[partition] = max(place, known.get(partition, 0))

    async def mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes) -> Mark:
        """See EngageStore."""
        return self._marks_of(user_id, kind).get(tweet_id, UNMARKED)

    async def marks(self, user_id: bytes, kind: MarkKind, tweet_ids: Collection[bytes]) -> dict[bytes, Mark]:
        """See EngageStore."""
        known = self._marks_of(user_id, kind)
        return {tweet_id: known[tweet_id] for tweet_id in tweet_ids if tweet_id in known}

    async def newest_marks(
        self, user_id: bytes, kind: MarkKind, limit: int, this_year: int
    ) -> tuple[dict[bytes, Mark], bytes]:
        """See EngageStore."""
        known = self._marks_of(user_id, kind)
        newest = sorted((one for one in known if this_year - 1 <= year_of(one) <= this_year), reverse=True)[:limit]
        floor = newest[-1] if len(newest) == limit else year_begins(this_year - 1)
        return {tweet_id: known[tweet_id] for tweet_id in newest}, floor

    async def list_likes(self, likes: Sequence[LikeSetting]) -> None:
        """See EngageStore."""
        for (like, _, _), mark in marks_of(likes):
            self._set(like.user_id, MarkKind.LIKE, like.tweet_id, mark)
            if mark.present:
                self._likers[like.tweet_id].add(PlacedLiker(mark.bucket, mark.since, like.user_id))

    async def state_likes(self, likes: Sequence[LikeSetting]) -> None:
        """See EngageStore."""
        for (like, _, _), mark in marks_of(likes):
            at_levels = self._rows[Subject(like.tweet_id, Kind.LIKES)][like.user_id]
            stored = at_levels.get(like.level, NEVER)
            if (mark.at, mark.since) >= (stored.at, stored.since):
                at_levels[like.level] = replace(stored, present=mark.present, at=mark.at, since=mark.since)

    async def set_bookmark(self, user_id: bytes, tweet_id: bytes, before: Mark, after: Mark) -> None:
        """See EngageStore."""
        self._set(user_id, MarkKind.BOOKMARK, tweet_id, after)

    async def list_marked(self, user_id: bytes, kind: MarkKind, after: Placed | None, limit: int) -> list[Listed]:
        """See EngageStore."""
        rows = [
            Listed(Placed(year_of_ms(mark.marked_ms), mark.since, tweet_id), mark.author_id, mark.marked_ms)
            for tweet_id, mark in self._marks_of(user_id, kind).items()
            if mark.present
        ]
        behind = [row for row in rows if after is None or row.place < after]
        return sorted(behind, key=lambda row: row.place, reverse=True)[:limit]

    async def list_likers(
        self, tweet_id: bytes, level: int, after: PlacedLiker | None, limit: int
    ) -> list[PlacedLiker]:
        """See EngageStore."""
        listed = self._likers.get(tweet_id, set())
        states = self._found(Subject(tweet_id, Kind.LIKES), {row.user_id for row in listed}, level)
        current = [row for row in listed if listed_at(states.get(row.user_id, NEVER), row.since)]
        return sorted((row for row in current if after is None or row < after), reverse=True)[:limit]

    def _found(self, subject: Subject, members: Collection[bytes], level: int) -> dict[bytes, Row]:
        stored = self._rows.get(subject, {})
        found = {member: _at_levels(stored[member], level) for member in members if member in stored}
        return {member: row for member, row in found.items() if row is not None}

    def _marks_of(self, user_id: bytes, kind: MarkKind) -> _UserMarks:
        return self._marks.get((user_id, kind), {})

    def _set(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        known = self._marks[user_id, kind]
        stored = known.get(tweet_id, UNMARKED)
        if (mark.at, mark.since) >= (stored.at, stored.since):
            known[tweet_id] = mark


def _overwrites(place: int, stored: int, repaired: bool) -> bool:
    return place > stored or (place == stored and repaired)


def _at_levels(at_levels: Mapping[int, Row], level: int) -> Row | None:
    rows = [row for one, row in at_levels.items() if one <= level]
    return functools.reduce(merged, rows) if rows else None
