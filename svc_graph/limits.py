"""How many accounts one may follow, and how many it does; remembered by the version that was counted."""

import math
import uuid
from collections import OrderedDict

from svc_graph.errors import FollowLimitReached
from svc_graph.store import GraphStore

PAGE = 5000
REMEMBERED = 50_000


def followers_needed(following: int) -> int:
    """Who follows so many beyond the limit needs so many followers: one may follow 1.1 times as many as follow one."""
    return math.ceil(following * 10 / 11)


class FollowLimits:
    """The limit on follows of one account. Exact within a process, in which an account's follows are changed one after another."""

    def __init__(self, store: GraphStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._counts: OrderedDict[uuid.UUID, tuple[int, int]] = OrderedDict()

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
        self._counts[follower_id] = (version, following)
        self._counts.move_to_end(follower_id)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)

    async def _following(self, follower_id: uuid.UUID, version: int) -> int:
        counted, following = self._counts.get(follower_id, (-1, 0))
        if counted != version:
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
