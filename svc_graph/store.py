"""What the graph stores and promises; the CQL tables that keep the promises are in store_cql.py, rules in domain.py."""

import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from svc_graph.domain import Change, Edge, ListedFollow, Pair, Shard, Snapshot
from svc_graph.events import Announcement

SCHEMA = Path(__file__).parent / "schema"

IN_ONE_QUERY = 100
"""ScyllaDB takes no more clustering keys in one query."""
BEFORE_ALL = uuid.UUID(int=0)


class GraphStore(Protocol):
    """Follow edges in both directions."""

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        """The state of each pair, in the order asked for; a pair that was never set is version 0 and not following.

        Sees every change that was acknowledged before.
        """

    async def versions(self, follower_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Version of the latest change of each follower, whichever pair it was of; 0 for one that never changed.

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

    async def follower_page(
        self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int
    ) -> list[uuid.UUID]:
        """Followers of one shard, ascending, strictly greater than `after`. At most `limit`; fewer only at the end.

        A shard that does not exist is empty.
        """

    async def followers_among(self, followee_id: uuid.UUID, others: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Those of the others who follow the account."""


def parts(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    """The ids in as many pieces as queries are needed."""
    for start in range(0, len(ids), IN_ONE_QUERY):
        yield ids[start : start + IN_ONE_QUERY]
