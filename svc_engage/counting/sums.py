"""What changes do to counts and rows: the whole rule, as pure functions. Reading and writing is flush.py.

A count at a place is a function of the log alone: how many members have `present` as the state with the greatest version among
those up to that place. So two owners that both work agree, and whoever counted further is right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from svc_engage.domain.levels import Levels
from svc_engage.domain.relations import NEVER, NOTHING, Change, Count, Row, Subject

Counts = Mapping[Subject, Count]
Rows = Mapping[Subject, Mapping[bytes, Row]]


@dataclass(frozen=True, slots=True)
class Sums:
    """What a batch of changes comes to."""

    counts: dict[Subject, Count]
    """Of every subject that was touched, read up to the end of the batch or further."""
    further: dict[Subject, Count]
    """Those of them that are further than what is stored."""
    rows: dict[Subject, dict[bytes, Row]]
    """Those that are to be written."""
    seen: dict[Subject, dict[bytes, Row]]
    """Those that had seen some of the changes before."""
    wrong: set[Subject]
    """What is stored of these contradicts itself: they are to be recounted."""


def behind(counts: Counts, rows: Rows) -> set[Subject]:
    """Subjects whose rows were counted further than their count as it was read: another owner ran ahead in between."""
    return {
        subject
        for subject, members in rows.items()
        if members and max(row.counted_at for row in members.values()) > counts.get(subject, NOTHING).as_of
    }


class Summing:
    """The effect of changes, which are all that a partition has up to a place, behind what was counted before; a few at a time.

    `counts` must be as far as `rows` (see `behind`), and both may be ahead of the changes: those came here before, or to
    another owner. Of a subject without count or row nothing was ever stored.
    """

    def __init__(self, counts: Counts, rows: Rows, levels: Levels) -> None:
        self._counts, self._rows, self._levels = counts, rows, levels
        self._differences: dict[Subject, int] = {}
        self._changed: dict[Subject, dict[bytes, Row]] = {}
        self._seen: dict[Subject, dict[bytes, Row]] = {}

    def add(self, changes: Iterable[Change]) -> None:
        """The next changes, in the order of the log."""
        for change in changes:
            subject, member = change.subject, change.member
            of_subject = self._changed.setdefault(subject, {})
            row = of_subject.get(member) or self._rows.get(subject, {}).get(member, NEVER)
            if change.place <= row.counted_at:
                self._seen.setdefault(subject, {})[member] = row
                continue
            counted, version = row.counted, row.version
            if change.version > version:
                # Up to `as_of` the count has it already: who counted so far broke off before the row was written.
                if change.place > self._counts.get(subject, NOTHING).as_of:
                    self._differences[subject] = self._differences.get(subject, 0) + change.present - counted
                counted, version = change.present, change.version
            of_subject[member] = Row(counted, version, change.place, row.present, row.at, row.since)

    def sums(self, until: int) -> Sums:
        """What all of them come to, up to the place `until`."""
        counts, wrong = self._counts, behind(self._counts, self._rows)
        summed = {}
        for subject in self._changed:
            before = counts.get(subject, NOTHING)
            total = before.count + self._differences.get(subject, 0)
            if total < 0:
                wrong.add(subject)
            summed[subject] = moved(before, max(0, total), until, self._levels)
        further = {s: count for s, count in summed.items() if count.as_of > counts.get(s, NOTHING).as_of}
        return Sums(summed, further, {s: rows for s, rows in self._changed.items() if rows}, self._seen, wrong)


def moved(before: Count, total: int, until: int, levels: Levels) -> Count:
    """The count read up to `until`, with so many members. Its level never falls, and neither does `as_of`."""
    return Count(total, max(before.as_of, until), max(before.level, levels.of(total)))


def latest_of(changes: Iterable[Change], versions: dict[Subject, dict[bytes, int]]) -> None:
    """Whose rows the changes need, put to those of earlier ones: members with the greatest version of their changes."""
    for change in changes:
        members = versions.setdefault(change.subject, {})
        members[change.member] = max(change.version, members.get(change.member, 0))
