"""Which followers of an account a viewer follows, a page at a time from the smaller side; nothing about how the page is asked for."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from svc_graph.deps import Deps
from svc_graph.domain import WHOLE, ListedFollow, Pair
from svc_graph.hidden import blocked_either_way, hidden_from

LOOKED_AT = 1000
"""Accounts of one side that one page looks at. A page of two large accounts may be short, even empty, and tells where to go on."""
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class KnownPage:
    """Followers in ascending order, and the id behind which the next page begins; None at the end."""

    rows: Sequence[ListedFollow]
    next_after: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class _Candidates:
    ids: Sequence[uuid.UUID]
    are_followed: bool
    """Whether they are known to be followed by the viewer; they are followers of the account otherwise."""
    next_after: uuid.UUID | None


async def known_followers(
    user_id: uuid.UUID, viewer: uuid.UUID, after: uuid.UUID | None, limit: int, deps: Deps
) -> KnownPage:
    """The next followers of the account whom the viewer follows, without those who are hidden from the viewer."""
    candidates = await _candidates(user_id, viewer, after, deps)
    found: list[ListedFollow] = []
    for start in range(0, len(candidates.ids), _AT_ONCE):
        part = candidates.ids[start : start + _AT_ONCE]
        found += await _known(user_id, viewer, part, candidates.are_followed, deps)
        if len(found) > limit:
            return KnownPage(found[:limit], found[limit - 1].user_id)
        if len(found) == limit and (candidates.next_after or part[-1] != candidates.ids[-1]):
            return KnownPage(found, part[-1])
    return KnownPage(found, candidates.next_after)


async def _candidates(user_id: uuid.UUID, viewer: uuid.UUID, after: uuid.UUID | None, deps: Deps) -> _Candidates:
    """All that is left of the smaller side, or the next ones whom the viewer follows when both are large."""
    followed = await deps.store.followees_page(viewer, after, LOOKED_AT + 1)
    if len(followed) <= LOOKED_AT:
        return _Candidates(followed, True, None)
    if await deps.store.follower_shards(user_id) == [WHOLE]:
        followers = await deps.store.follower_page(user_id, WHOLE, after, LOOKED_AT + 1)
        if len(followers) <= LOOKED_AT:
            return _Candidates(followers, False, None)
    return _Candidates(followed[:LOOKED_AT], True, followed[LOOKED_AT - 1])


async def _known(
    user_id: uuid.UUID, viewer: uuid.UUID, ids: Sequence[uuid.UUID], are_followed: bool, deps: Deps
) -> list[ListedFollow]:
    if not are_followed:
        edges = await deps.store.edges([Pair(viewer, one) for one in ids])
        ids = [edge.pair.followee_id for edge in edges if edge.following]
    follows = await deps.store.follows_from(user_id, ids)
    following = sorted(follows)
    # A follow under a block is void, and so is one by whom the account blocks.
    hidden, void = await asyncio.gather(
        hidden_from(viewer, following, deps), blocked_either_way(user_id, following, deps)
    )
    return [ListedFollow(follows[one], one) for one in following if one not in hidden | void]
