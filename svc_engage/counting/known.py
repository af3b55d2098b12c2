"""What a process knows of rows without reading them: those that it counted last, and those that its requests wrote. No I/O."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from svc_engage.domain.marks import UNMARKED, LikeState, Mark
from svc_engage.domain.relations import NEVER, Row, Subject

ROWS_KEPT = 50_000
"""Rows that a process remembers as it counted them, some 15 MB; of more those of the subjects go that were not counted for longest."""
WRITES_KEPT = 10_000
"""Likes of which a process remembers the rows that it wrote, some 5 MB: they are counted within a second or two, and what is undone
mostly is so soon.
"""


@dataclass(slots=True)
class _Counted:
    """Rows of one subject as an owner counted them last."""

    owner: object
    whole: bool
    """Of who is not here there is no row."""
    rows: dict[bytes, Row] = field(default_factory=dict)


class KnownRows:
    """The knowledge of one process.

    A row as its owner counted it is what the log says of the member up to where that owner has counted. So it stays true
    whatever another owner stores meanwhile, exactly as the counts do that an owner keeps; and it is of no use to the next owner
    in this process, who begins elsewhere in the log. Who owns a partition is told by identity: an object for each time.
    """

    def __init__(self, rows_kept: int = ROWS_KEPT, writes_kept: int = WRITES_KEPT) -> None:
        self._rows_kept, self._writes_kept = rows_kept, writes_kept
        self._counted: OrderedDict[Subject, _Counted] = OrderedDict()
        self._size = 0
        self._written: dict[tuple[bytes, bytes], Mark] = {}

    def wrote(self, like: LikeState, mark: Mark) -> None:
        """The store has acknowledged all rows of a like: its owner need not look whether a request came to them."""
        pair = like.tweet_id, like.user_id
        known = self._written.pop(pair, UNMARKED)
        self._written[pair] = mark if mark.at > known.at else known
        if len(self._written) > self._writes_kept:
            del self._written[next(iter(self._written))]

    def mark(self, tweet_id: bytes, user_id: bytes, at: int) -> Mark | None:
        """The mark of a like whose state was set at a place, 0: never. None when it has to be read: another process wrote it, or this
        one long ago.
        """
        if not at:
            return UNMARKED
        known = self._written.get((tweet_id, user_id), UNMARKED)
        return known if known.at == at else None

    def begin(self, owner: object, subject: Subject) -> None:
        """The store has no count of a subject: up to where the owner has counted, the log says nothing of it, so it has no row."""
        if self._of(owner, subject) is None:
            self.forget(subject)
            self._counted[subject] = _Counted(owner, whole=True)

    def row(self, owner: object, subject: Subject, member: bytes, written_to: int = 0) -> Row | None:
        """The row as this owner counted it last; None when it has to be read.

        It has to be when it is not known that what the lists show is written up to the place `written_to`: another process may
        have done that, or nobody.
        """
        counted = self._of(owner, subject)
        row = counted and (counted.rows.get(member) or (NEVER if counted.whole else None))
        if not row:
            return None
        if row.at < written_to:
            stated = self._written.get((subject.subject_id, member), UNMARKED)
            if stated.at < written_to:
                return None
            return Row(row.counted, row.version, row.counted_at, stated.present, stated.at, stated.since)
        return row

    def keep(self, owner: object, rows: Mapping[Subject, Mapping[bytes, Row]]) -> None:
        """The owner has counted these members so far, all others of its subjects as before."""
        for subject, members in rows.items():
            counted = self._of(owner, subject)
            if counted is None:
                self.forget(subject)
                counted = self._counted[subject] = _Counted(owner, whole=False)
            self._size -= len(counted.rows)
            counted.rows.update(members)
            self._size += len(counted.rows)
            self._counted.move_to_end(subject)
        while self._size > self._rows_kept:
            self.forget(next(iter(self._counted)))

    def forget(self, subject: Subject) -> None:
        """What is stored of a subject is no longer what was counted here."""
        counted = self._counted.pop(subject, None)
        if counted is not None:
            self._size -= len(counted.rows)

    def _of(self, owner: object, subject: Subject) -> _Counted | None:
        counted = self._counted.get(subject)
        return counted if counted is not None and counted.owner is owner else None
