"""What a process remembers of a partition that it owns: changes that are not counted yet, and counts it wrote last. No I/O."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ordered import Item
from svc_engage.counting.changes import Log
from svc_engage.counting.known import KnownRows
from svc_engage.counting.sums import Sums
from svc_engage.domain.relations import Change, Count, Row, Subject

MUCH = 5_000
"""So many changes of a partition are not waited with, and hold up its reading."""
_KEPT = 64


class Told(NamedTuple):
    """A change and the event that told it."""

    change: Change
    item: Item


@dataclass(eq=False, slots=True)
class Memory:
    """One partition of one log. Whoever changes what is stored of it holds `turn`."""

    log: Log
    partition: int
    until: int
    """All that was queued ends here."""
    distrust: Callable[[Sequence[Subject] | None], None]
    """Told of subjects whose counts are not to be trusted; None for all of the partition."""
    known: KnownRows
    """Of the process."""
    queue: list[Told] = field(default_factory=list)
    kept: dict[Subject, Count] = field(default_factory=dict)
    """Counts as this process wrote them last; a hot subject's is not read again."""
    watched: dict[Subject, dict[bytes, Row]] = field(default_factory=dict)
    """Of subjects that are recounted: the rows of members that changed since, as they were before."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    less: asyncio.Event = field(default_factory=asyncio.Event)
    """Something was counted."""
    due_at: float = float("-inf")
    """From when on it may be counted again, by the loop's clock."""
    failures: int = 0
    """So many batches in turn were not stored."""
    in_round: bool = False
    counted: int = field(init=False)
    """All up to here is in counts and rows."""
    position: int = field(init=False)
    """The position that is stored: behind what is counted while Redis is owed a count of the partition."""

    def __post_init__(self) -> None:
        self.counted = self.position = self.until

    @property
    def much(self) -> bool:
        """Whether there is so much that it is not waited for the next second."""
        return len(self.queue) > MUCH and not self.failures

    @property
    def busy(self) -> bool:
        """Whether something is to be counted, or a position to be stored."""
        return bool(self.queue) or self.until > self.position

    def add(self, told: Sequence[Told], until: int) -> None:
        """Queue a slice."""
        self.queue += told
        self.until = max(self.until, until)

    def done(self, taken: int, until: int, sums: Sums) -> None:
        """The first `taken` of the queue, up to the place `until`, are stored."""
        del self.queue[:taken]
        self.counted = max(self.counted, until)
        self.kept |= sums.counts
        # Those that were counted before, too: of a subject of which nothing was counted when it was begun all rows are known.
        self.known.keep(self, sums.seen)
        self.known.keep(self, sums.rows)
        while len(self.kept) > _KEPT:
            del self.kept[next(iter(self.kept))]
        self.less.set()

    def begin(self, subject: Subject) -> None:
        """Nothing was ever counted of a subject, as the store says."""
        self.known.begin(self, subject)

    def row(self, subject: Subject, member: bytes, version: int) -> Row | None:
        """What is stored of a member whose latest change has this version; None when that has to be read."""
        return self.known.row(self, subject, member, version if self.log.state_of is not None else 0)

    def forget(self, subject: Subject) -> None:
        """What is stored of a subject was set right."""
        self.kept.pop(subject, None)
        self.known.forget(subject)

    def saw(self, rows: Mapping[Subject, Mapping[bytes, Row]]) -> None:
        """Note how members of watched subjects were before a change."""
        for subject, before in self.watched.items():
            for member, row in rows.get(subject, {}).items():
                before.setdefault(member, row)
