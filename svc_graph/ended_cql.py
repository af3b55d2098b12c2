"""Reads stances whole, and deletes rows of what ended long ago, in CQL; when a row may go is decided in forgetting.py."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

from cql_client import Consistency, Cql
from svc_graph.domain import Edge
from svc_graph.stances import Stance
from svc_graph.store import BEFORE_ALL

_PARTITIONS = 500
_ROWS = 100


class CqlEnded:
    """Each deletion carries the version of the row: it hides that state and every earlier one, and touches no later one.

    It is acknowledged by every replica. So from then on, none of them has an older state to show, however late one arrives.
    """

    def __init__(self, cql: Cql) -> None:
        self._cql = cql
        prepare = cql.prepare
        # Which accounts have stances?
        distinct = "SELECT DISTINCT user_id, relation FROM stances"
        self._first = prepare(f"{distinct} LIMIT {_PARTITIONS}")
        self._next = prepare(f"{distinct} WHERE token(user_id, relation) > token(?, ?) LIMIT {_PARTITIONS}")
        self._rows = prepare(
            "SELECT other_id, stands, version, until_ms FROM stances"
            f" WHERE user_id = ? AND relation = ? AND other_id > ? LIMIT {_ROWS}"
        )
        everywhere = Consistency.ALL
        self._drop_edge = prepare("DELETE FROM follow_edges WHERE follower_id = ? AND followee_id = ?", everywhere)
        self._drop = prepare("DELETE FROM stances WHERE user_id = ? AND relation = ? AND other_id = ?", everywhere)
        self._unlist = prepare("DELETE FROM stances_by_time WHERE user_id = ? AND relation = ? AND stance_id = ?")

    async def stances(self) -> AsyncIterator[list[Stance]]:
        """All of them, in pages."""
        async for user_id, relation in self._accounts():
            after, full = BEFORE_ALL, True
            while full:
                rows = await self._cql.execute(self._rows, (user_id, relation, after))
                yield [Stance(relation, user_id, *row) for row in rows]
                full = len(rows) == _ROWS
                after = rows[-1][0] if rows else after

    async def drop_edge(self, edge: Edge) -> None:
        """Delete the row of a follow. Raises Unavailable, also while a replica is away."""
        await self._cql.execute(self._drop_edge, edge.pair, timestamp_us=edge.version)

    async def drop_stance(self, stance: Stance) -> None:
        """Delete the row of a stance, and what a list by time may have of it. Raises Unavailable, also while a replica is away."""
        user_id, relation = stance.user_id, int(stance.relation)
        # A row of the list without the state would be looked at by every reader, and never cleared.
        await self._cql.execute(self._unlist, (user_id, relation, stance.stance_id), timestamp_us=stance.version)
        await self._cql.execute(self._drop, (user_id, relation, stance.other_id), timestamp_us=stance.version)

    async def _accounts(self) -> AsyncIterator[tuple[uuid.UUID, Any]]:
        rows = await self._cql.execute(self._first)
        while rows:
            for user_id, relation in rows:
                yield user_id, relation
            if len(rows) < _PARTITIONS:
                return
            rows = await self._cql.execute(self._next, tuple(rows[-1]))
