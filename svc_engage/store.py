"""What svc_engage stores and promises; the CQL that keeps it is in store_cql.py, rules about it in domain/."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from svc_engage.domain.marks import LikeSetting, Listed, Mark, MarkKind, Placed, PlacedLiker
from svc_engage.domain.relations import Count, Row, Subject

LIKES_TOGETHER = 25
"""Of so many likes the rows are written at once: four each."""


class Counted(NamedTuple):
    """What the counting owner writes of one member; only the first three fields of the row."""

    subject: Subject
    member: bytes
    level: int
    """At which the row is written: that of the subject."""
    row: Row


class Position(NamedTuple):
    """How far a partition is counted."""

    durable: str
    partition: int
    place: int


class EngageStore(Protocol):
    """Likes, bookmarks, counts, and how far the log is counted. Every method raises Unavailable when the store is away.

    A write that raised may be stored, now or a little later; writing it again is writing it once. Reads see every write that
    was acknowledged before.
    """

    # Counting: for the owner of a partition.

    async def counts(self, subjects: Collection[Subject]) -> dict[Subject, Count]:
        """The counts that are stored. A subject that was never counted is absent."""

    async def put_counts(self, counts: Mapping[Subject, Count], repaired: bool = False) -> None:
        """Store counts. One with a greater `as_of` stays as it is; at the same `as_of` only a repair overwrites.

        Their levels only grow: that of an older count stays when it is greater. Some may be stored.
        """

    async def rows(
        self, wanted: Mapping[Subject, Collection[bytes]], levels: Mapping[Subject, int]
    ) -> dict[Subject, dict[bytes, Row]]:
        """Rows of members, looked for at all levels up to the given one (0 when absent); never set ones are absent.

        What is counted comes from the level with the greatest `counted_at`, `present` from the one with the greatest `at`.
        Every wanted subject has an entry.
        """

    async def put_counted(self, rows: Sequence[Counted], repaired: bool = False) -> None:
        """Store `counted`, `version`, `counted_at` of rows. One with a greater `counted_at` stays as it is, at the same only a
        repair overwrites. `present` and `at` stay as they are. Some may be stored.
        """

    async def position(self, durable: str, partition: int) -> int:
        """The place up to which a partition is counted, 0 for never."""

    async def positions(self, durable: str) -> dict[int, int]:
        """The positions of all partitions that have one."""

    async def put_positions(self, positions: Collection[Position]) -> None:
        """Store how far partitions are counted. A greater position stays as it is. Some may be stored."""

    # Marks; requests, and the owner for requests that did not come to it.

    async def mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes) -> Mark:
        """The state of one user and one tweet; UNMARKED when it was never set."""

    async def marks(self, user_id: bytes, kind: MarkKind, tweet_ids: Collection[bytes]) -> dict[bytes, Mark]:
        """The states of one user and many tweets. Never set ones are absent, undone ones say so."""

    async def newest_marks(
        self, user_id: bytes, kind: MarkKind, limit: int, this_year: int
    ) -> tuple[dict[bytes, Mark], bytes]:
        """States, undone ones too, of the at most `limit` newest tweets of this year and the one before, and a floor of 16 bytes.

        Every state of a tweet whose id is at or above the floor is there, but those from the next year on.
        """

    async def list_likes(self, likes: Sequence[LikeSetting]) -> None:
        """Store likes and their ends, LIKES_TOGETHER at most, as their users' marks, and their lists. Some may be stored.

        A later state (by `at`) of the same pair stays. `before` is the state that was read before: behind the same state this one
        began when that did, and keeps its place in lists; behind another its rows in lists go. When two write the same state and
        read different ones before, the later beginning stays. `delta` is what the count changes by.
        """

    async def state_likes(self, likes: Sequence[LikeSetting]) -> None:
        """Store the rows of `edges` of the same likes: to be written last, for who sees their `at` finds everything else."""

    async def set_bookmark(self, user_id: bytes, tweet_id: bytes, before: Mark, after: Mark) -> None:
        """Store a bookmark or its end, with its list, all or nothing. A later state (by `at`) stays. Different states only."""

    async def list_marked(self, user_id: bytes, kind: MarkKind, after: Placed | None, limit: int) -> list[Listed]:
        """What a user marked and did not unmark, latest first, strictly behind `after`. At most `limit`; fewer only at the end.

        No tweet is there twice.
        """

    async def list_likers(
        self, tweet_id: bytes, level: int, after: PlacedLiker | None, limit: int
    ) -> list[PlacedLiker]:
        """Who likes a tweet now, latest first, strictly behind `after`. At most `limit`; fewer only at the end.

        Nobody is there twice. `level` is that of the tweet's likes.
        """
