"""Reads follows and every list of them through service-scoped rpcs, page by page; what follows from them is graph.py's matter."""

from aviary.graph.v1 import graph_pb2

from ops.audit.count_facts import CountFacts
from ops.audit.facts import PAGE
from runtime.context import Caller, acting
from runtime.ids import split_ids


class GraphFacts(CountFacts):
    """The view of a running stack that an audit of its follows has."""

    async def snapshot(self, user: bytes) -> list[bytes]:
        """Whom a user follows: the truth."""
        with acting(Caller()):
            answer = await self._mesh.graph.GetFollowSnapshot(graph_pb2.GetFollowSnapshotRequest(user_id=user))
        return split_ids(answer.followee_ids)

    async def following_list(self, user: bytes) -> list[bytes]:
        """Everybody in the list of whom a user follows, as often as they are listed."""
        found: list[bytes] = []
        cursor = ""
        while True:
            request = graph_pb2.ListFollowingByTimeRequest(user_id=user, cursor=cursor, limit=PAGE)
            with acting(Caller()):
                page = await self._mesh.graph.ListFollowingByTime(request)
            found += [entry.user_id for entry in page.entries]
            cursor = page.next_cursor
            if not cursor:
                return found

    async def followers_list(self, user: bytes) -> list[bytes]:
        """Everybody in the list of who follows a user, as often as they are listed."""
        found: list[bytes] = []
        cursor = ""
        while True:
            request = graph_pb2.ListFollowersByTimeRequest(user_id=user, cursor=cursor, limit=PAGE)
            with acting(Caller()):
                page = await self._mesh.graph.ListFollowersByTime(request)
            found += [entry.user_id for entry in page.entries]
            cursor = page.next_cursor
            if not cursor:
                return found

    async def follower_pages(self, user: bytes) -> list[bytes]:
        """Everybody in the partitions that fan-out reads."""
        return await self.followers(user)
