"""What the graph stores and promises; the CQL tables that keep the promises are in store_cql.py, rules in domain.py."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from svc_graph.domain import Change, Edge, ListedFollow, Pair, Shard, Snapshot
from svc_graph.events import Announcement
from svc_graph.packed import PackedPage
from svc_graph.stances import Kept, Relation, Stance, Ties, ViewerVersions

SCHEMA = Path(__file__).parent / "schema"

IN_ONE_QUERY = 100
"""ScyllaDB takes no more clustering keys in one query."""
BEFORE_ALL = uuid.UUID(int=0)
READ_BLOCKERS = 10_000
"""Who blocks an account is read up to so many."""
EXPIRED_KEPT_MS = 60_000
"""A mute whose time is over leaves the list by time for good no earlier: clocks differ."""


class StanceStore(Protocol):
    """Blocks and mutes, who blocks whom, and all that a viewer's snapshot holds."""

    async def stances(self, relation: Relation, user_id: uuid.UUID, other_ids: Sequence[uuid.UUID]) -> list[Stance]:
        """How an account stands to each of the others, in the order asked for; version 0 and not standing when never set.

        Sees every change that was acknowledged before.
        """

    async def set_stance(self, before: Stance, after: Stance, announce: Sequence[Announcement]) -> None:
        """Store a state, its announcements and the account's new version, or nothing; `before` is the state that was read.

        A state older than the stored one changes nothing. Storing one twice is storing it once.
        Raises Unavailable when it was not acknowledged in time; then it may be stored, now or a little later.
        """

    async def blockers_among(self, user_id: uuid.UUID, other_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Those of the others who block the account, and the versions of the blocks. Sees every change that was acknowledged before."""

    async def list_stances(
        self, relation: Relation, user_id: uuid.UUID, before: uuid.UUID | None, limit: int, now_ms: int
    ) -> list[Stance]:
        """What holds now, latest first, stance_ids strictly less than `before`. At most `limit`; fewer only at the end."""

    async def viewer_versions(self, user_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ViewerVersions]:
        """What changed last of each account: of its own, and among those who block it. 0 for what never changed.

        Sees every change that was acknowledged before.
        """

    async def raise_versions(self, own: Mapping[uuid.UUID, int], blocked_by: Mapping[uuid.UUID, int]) -> None:
        """Let accounts have changed, of their own or in who blocks them, in at least these versions. A lesser one changes nothing."""

    async def ties(self, user_id: uuid.UUID) -> Ties:
        """How an account stands to everybody, as of now; of those who block it up to 10,000. Mutes whose time is over are among them.

        Holds every change that was acknowledged before. Follows are told although a block stands between.
        """

    async def standing_count(self, relation: Relation, user_id: uuid.UUID, now_ms: int) -> int:
        """How many an account blocks, or mutes now. Sees every change that was acknowledged before."""

    async def kept_snapshot(self, user_id: uuid.UUID) -> Kept:
        """The snapshot that was kept of a viewer last, and the versions that tell whether it is still so: as of one moment, in one step.

        Of the versions it sees every change that was acknowledged before.
        """

    async def keep_snapshot(self, user_id: uuid.UUID, snapshot: bytes) -> None:
        """Keep a viewer's snapshot for an hour at most; of two that are kept at once either stays. Raises Unavailable."""


class GraphStore(StanceStore, Protocol):
    """Follow edges in both directions, blocks and mutes."""

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """The state of each pair, in the order asked for; a pair that was never set is version 0 and not following.

        Sees every change that was acknowledged before.
        """

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Version of the latest change of each follower, a follow, block or mute of whomever; 0 for one that never changed.

        Sees every change that was acknowledged before.
        """

    async def apply(self, changes: Sequence[Change], announce: Sequence[Announcement]) -> None:
        """Store all changes and their announcements, or none. The changes must share one version.

        A change that is older than the stored state of its pair changes nothing. Storing one twice is storing it once.
        Raises Unavailable when it was not acknowledged in time; then it may be stored, now or a little later.
        """

    async def list_following(self, follower_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """Whom an account follows, latest follow first, follow_ids strictly less than `before`.

        At most `limit`; fewer only at the end. Nobody is there twice. An unknown account follows nobody.
        """

    async def list_followers(self, followee_id: uuid.UUID, before: uuid.UUID | None, limit: int) -> list[ListedFollow]:
        """Who follows an account, latest follow first, follow_ids strictly less than `before`.

        At most `limit`; fewer only at the end. Nobody is there twice. An unknown account has no followers.
        """

    async def snapshot(self, follower_id: uuid.UUID) -> Snapshot:
        """All that an account follows now, with the version of its latest change; version 0 when it never changed."""

    async def follower_shards(self, followee_id: uuid.UUID) -> list[Shard]:
        """Every partition in which followers of the account lie; whoever followed before the call is in one of them, or in two."""

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """Followers of one shard, ascending, strictly greater than `after`. At most `limit`; fewer only at the end.

        A shard that does not exist is empty.
        """

    async def packed_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int, as_of: bytes = b""
    ) -> PackedPage:
        """The same page as packed ids, whether more come after it, and what names their state.

        Sees every change that was acknowledged before; with the `as_of` of an earlier page of the shard, before that one was asked for.
        """

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Those of the others who follow the account."""

    async def follows_from(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        """The follow_ids of those of the others who follow the account, by their ids."""

    async def followees_page(self, follower_id: uuid.UUID, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        """Whom an account follows, ascending, strictly greater than `after`. At most `limit`; fewer only at the end."""

    async def newest_followees(self, follower_ids: Sequence[uuid.UUID], each: int) -> dict[uuid.UUID, list[uuid.UUID]]:
        """Whom each account follows, latest first, at most `each`.

        Not held against the truth, and perhaps some seconds old: somebody whose follow ended may be there, and a new one lack.
        """


def parts(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    """The ids in as many pieces as queries are needed."""
    for start in range(0, len(ids), IN_ONE_QUERY):
        yield ids[start : start + IN_ONE_QUERY]
