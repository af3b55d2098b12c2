"""How many accounts one may follow, block and mute, and how many it does; remembered by the version that was counted."""

import math
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Generic, TypeVar

from svc_graph.errors import BlockLimitReached, FollowLimitReached, MuteLimitReached
from svc_graph.stances import BLOCK, MUTE, Relation
from svc_graph.store import GraphStore

PAGE = 5000
REMEMBERED = 50_000

STANCES: Mapping[Relation, int] = {BLOCK: 50_000, MUTE: 50_000}
"""How many one may block, and mute: with 50,000 of both a snapshot is 2 MB, which is half of what a call may carry."""

K = TypeVar("K")


class _Counts(Generic[K]):
    """What was counted last, and as of which version of the account. Those used least lately drop out."""

    def __init__(self) -> None:
        self._counts: OrderedDict[K, tuple[int, int]] = OrderedDict()

    def of(self, key: K, version: int) -> int | None:
        """The count, if it is of this version."""
        counted, count = self._counts.get(key, (-1, 0))
        return count if counted == version else None

    def remember(self, key: K, version: int, count: int) -> None:
        """As of the version it is so many."""
        self._counts[key] = (version, count)
        self._counts.move_to_end(key)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)


def followers_needed(following: int) -> int:
    """Who follows so many beyond the limit needs so many followers: one may follow 1.1 times as many as follow one."""
    return math.ceil(following * 10 / 11)


class FollowLimits:
    """The limit on follows of one account. Exact within a process, in which an account's follows are changed one after another."""

    def __init__(self, store: GraphStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._counts: _Counts[uuid.UUID] = _Counts()

    async def ensure_below(self, follower_id: uuid.UUID, version: int) -> int:
        """How many the account follows, as of its version. Raises FollowLimitReached when it may follow nobody more.

        The caller has the account's turn.
        """
        following = await self._following(follower_id, version)
        if following < self._limit or await self._has_followers(follower_id, followers_needed(following + 1)):
            return following
        raise FollowLimitReached("the account follows as many as it may", following=following)

    def remember(self, follower_id: uuid.UUID, version: int, following: int) -> None:
        """As of its version the account follows so many."""
        self._counts.remember(follower_id, version, following)

    async def _following(self, follower_id: uuid.UUID, version: int) -> int:
        following = self._counts.of(follower_id, version)
        if following is None:
            following = len((await self._store.snapshot(follower_id)).followee_ids)
            self.remember(follower_id, version, following)
        return following

    async def _has_followers(self, user_id: uuid.UUID, needed: int) -> bool:
        found: set[uuid.UUID] = set()
        for shard in await self._store.follower_shards(user_id):
            after = None
            while len(found) < needed:
                page = await self._store.follower_page(user_id, shard, after, PAGE)
                found.update(page)
                if len(page) < PAGE:
                    break
                after = page[-1]
        return len(found) >= needed


class StanceLimits:
    """The limits on blocks and on mutes of one account, exact as that on follows is. A mute whose time is over is none."""

    def __init__(self, store: GraphStore, limits: Mapping[Relation, int] = STANCES) -> None:
        self._store = store
        self._limits = limits
        self._counts: _Counts[tuple[Relation, uuid.UUID]] = _Counts()

    async def ensure_below(self, relation: Relation, user_id: uuid.UUID, version: int, now_ms: int) -> int:
        """How many the account blocks, or mutes, as of its version. Raises BlockLimitReached, MuteLimitReached when it may nobody more.

        The caller has the account's turn.
        """
        standing = self._counts.of((relation, user_id), version)
        if standing is None or standing >= self._limits[relation]:
            # Also when it was remembered: mutes end by themselves.
            standing = await self._store.standing_count(relation, user_id, now_ms)
            self.remember(relation, user_id, version, standing)
        if standing < self._limits[relation]:
            return standing
        if relation == BLOCK:
            raise BlockLimitReached("the account blocks as many as it may", blocking=standing)
        raise MuteLimitReached("the account mutes as many as it may", muting=standing)

    def remember(self, relation: Relation, user_id: uuid.UUID, version: int, standing: int) -> None:
        """As of its version the account blocks, or mutes, so many."""
        self._counts.remember((relation, user_id), version, standing)
