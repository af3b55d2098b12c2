"""A follow under a block is void until it ends: how lists leave it out. Who sees whom beyond that, the views judge."""

import uuid
from collections.abc import Awaitable, Callable

from svc_graph.deps import Deps
from svc_graph.domain import ListedFollow
from svc_graph.hidden import blocked_either_way

Read = Callable[[uuid.UUID, uuid.UUID | None, int], Awaitable[list[ListedFollow]]]
"""A list by time of an account: strictly below an id, at most so many; fewer only at the end."""


async def without_void(
    user_id: uuid.UUID, read: Read, before: uuid.UUID | None, limit: int, deps: Deps
) -> list[ListedFollow]:
    """As `read`, without the follows between whose ends a block stands. Fewer than `limit` only at the end."""
    found: list[ListedFollow] = []
    while True:
        wanted = limit - len(found)
        rows = await read(user_id, before, wanted)
        void = await blocked_either_way(user_id, [row.user_id for row in rows], deps)
        found += [row for row in rows if row.user_id not in void]
        if len(rows) < wanted or len(found) == limit:
            return found
        before = rows[-1].follow_id
