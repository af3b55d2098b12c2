"""Reads follows and every list of them through service-scoped rpcs, page by page; what follows from them is graph.py's matter."""

from aviary.graph.v1 import graph_pb2

from ops.audit.count_facts import CountFacts, to_the_end
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

        async def page(cursor: str) -> tuple[list[bytes], str]:
            request = graph_pb2.ListFollowingByTimeRequest(user_id=user, cursor=cursor, limit=PAGE)
            answer = await self._mesh.graph.ListFollowingByTime(request)
            return [entry.user_id for entry in answer.entries], answer.next_cursor

        return await to_the_end(page)

    async def followers_list(self, user: bytes) -> list[bytes]:
        """Everybody in the list of who follows a user, as often as they are listed."""

        async def page(cursor: str) -> tuple[list[bytes], str]:
            request = graph_pb2.ListFollowersByTimeRequest(user_id=user, cursor=cursor, limit=PAGE)
            answer = await self._mesh.graph.ListFollowersByTime(request)
            return [entry.user_id for entry in answer.entries], answer.next_cursor

        return await to_the_end(page)

    async def follower_pages(self, user: bytes) -> list[bytes]:
        """Everybody in the partitions that fan-out reads."""
        return await self.followers(user)
