"""Whom those follow whom an account follows, counted over a bounded sample; nothing about how it is asked for."""

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import Sequence

from svc_graph.deps import Deps
from svc_graph.domain import Pair
from svc_graph.hidden import hidden_from

FRIENDS = 50
"""The newest followees that are looked at,"""
EACH = 100
"""and the newest followees of each."""
EXAMINED = 2000
"""Candidates at most, best first, that are held against what rules them out."""
_AT_ONCE = 200


async def suggested(user_id: uuid.UUID, limit: int, deps: Deps) -> list[tuple[uuid.UUID, int]]:
    """Accounts and how many of the sample follow each, the most first, and in the order of their ids where that is equal.

    Never the account itself, whom it follows, whom a block stands between, whom it mutes, nor who is suspended or gone: that is
    read as everywhere, while the sample comes from one replica each.
    """
    friends = (await deps.store.newest_followees([user_id], FRIENDS))[user_id]
    sample = await deps.store.newest_followees(friends, EACH)
    counts = Counter(itertools.chain.from_iterable(sample.values()))
    del counts[user_id]
    best = sorted(counts, key=lambda one: (-counts[one], one))[:EXAMINED]
    found: list[tuple[uuid.UUID, int]] = []
    for start in range(0, len(best), _AT_ONCE):
        allowed = await _allowed(user_id, best[start : start + _AT_ONCE], deps)
        found += [(one, counts[one]) for one in allowed]
        if len(found) >= limit:
            break
    return found[:limit]


async def _allowed(user_id: uuid.UUID, ids: Sequence[uuid.UUID], deps: Deps) -> list[uuid.UUID]:
    """Those who may be suggested, in the same order."""
    edges, hidden, visible = await asyncio.gather(
        deps.store.edges([Pair(user_id, one) for one in ids]),
        hidden_from(user_id, ids, deps),
        deps.accounts.visible_among(ids),
    )
    return [e.pair.followee_id for e in edges if not e.following and e.pair.followee_id in visible - hidden]
