"""The list of followers by time above level 0, in CQL: a partition for each day or hour; what is true of its rows is in time_lists.py."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from cql_client import Cql, Statement
from svc_graph.domain import Edge, ListedFollow, Pair
from svc_graph.levels import slot_of

Row = tuple[Statement, Sequence[Any]]

_SLOTS_AT_ONCE = 50


class Slots:
    """Within a level slots follow each other in time, and so do the follows within a slot."""

    def __init__(self, cql: Cql) -> None:
        self._cql = cql
        # Who followed an account in one slot, latest first?
        self._rows = cql.prepare(
            "SELECT follow_id, follower_id FROM followers_by_slot"
            " WHERE followee_id = ? AND level = ? AND slot = ? AND follow_id < ? LIMIT ?"
        )
        # In which slots, latest first?
        self._slots = cql.prepare(
            "SELECT slot FROM follower_slots WHERE followee_id = ? AND level = ? AND slot <= ? LIMIT ?"
        )
        self._add = cql.prepare(
            "INSERT INTO followers_by_slot (followee_id, level, slot, follow_id, follower_id) VALUES (?, ?, ?, ?, ?)"
        )
        self._add_slot = cql.prepare("INSERT INTO follower_slots (followee_id, level, slot) VALUES (?, ?, ?)")
        self._drop = cql.prepare(
            "DELETE FROM followers_by_slot WHERE followee_id = ? AND level = ? AND slot = ? AND follow_id = ?"
        )

    def added(self, edge: Edge, level: int) -> Iterator[Row]:
        """The writes that list a follow."""
        followee_id, slot = edge.pair.followee_id, slot_of(edge.follow_id, level)
        yield self._add, (followee_id, level, slot, edge.follow_id, edge.pair.follower_id)
        yield self._add_slot, (followee_id, level, slot)

    def dropped(self, pair: Pair, follow: uuid.UUID, level: int) -> Iterator[Row]:
        """The write that takes a follow off."""
        yield self._drop, (pair.followee_id, level, slot_of(follow, level), follow)

    async def newest(self, followee_id: uuid.UUID, level: int, before: uuid.UUID, limit: int) -> list[ListedFollow]:
        """The rows of a level below `before`, latest first; fewer than `limit` only at the end."""
        found: list[ListedFollow] = []
        last = slot_of(before, level)
        while True:
            slots = await self._cql.execute(self._slots, (followee_id, level, last, _SLOTS_AT_ONCE))
            for (slot,) in slots:
                wanted = limit - len(found)
                rows = await self._cql.execute(self._rows, (followee_id, level, slot, before, wanted))
                found += [ListedFollow(*row) for row in rows]
                if len(found) == limit:
                    return found
            if len(slots) < _SLOTS_AT_ONCE:
                return found
            last = slots[-1][0] - 1
