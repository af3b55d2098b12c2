"""Reads what the audit needs through service-scoped rpcs, page by page; what follows from it is the oracle's matter."""

import asyncio
import uuid
from dataclasses import dataclass

from aviary.graph.v1 import graph_pb2
from aviary.mesh.v1 import mesh_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2
from aviary.view.v1 import view_pb2

from ops.audit.oracle import Authored
from ops.mesh import Mesh
from runtime.context import Caller, acting
from runtime.ids import split_ids

PAGE = 1000
HOME_PAGE = 200


@dataclass(frozen=True)
class Backlog:
    """How far behind the asynchronous part says that it is."""

    lag_ms: int
    dead_letters: int


class Facts:
    """The audit's view of a running stack."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def backlog(self) -> Backlog:
        """The greatest lag of any service, and all dead letters."""
        with acting(Caller()):
            calls = [stub.GetBacklog(mesh_pb2.GetBacklogRequest()) for stub in self._mesh.backlogs.values()]
            answers = await asyncio.gather(*calls)
        return Backlog(max(a.lag_ms for a in answers), sum(a.dead_letters for a in answers))

    async def users(self) -> dict[bytes, str]:
        """Username by id of every account."""
        return {uuid.UUID(user.user_id).bytes: user.username for user in await self._accounts()}

    async def suspended(self) -> set[bytes]:
        """Accounts that nobody sees, and that read nothing."""
        active = user_pb2.USER_STATUS_ACTIVE
        return {uuid.UUID(user.user_id).bytes for user in await self._accounts() if user.status != active}

    async def _accounts(self) -> list[user_pb2.User]:
        found: list[user_pb2.User] = []
        after = b""
        while True:
            with acting(Caller()):
                page = await self._mesh.users.ListUsers(user_pb2.ListUsersRequest(after=after, limit=PAGE))
            found += page.users
            after = page.next_after
            if not after:
                return found

    async def muted(self, reader: bytes) -> set[bytes]:
        """Whom a reader mutes."""
        found: set[bytes] = set()
        cursor = ""
        while True:
            request = graph_pb2.ListMutesByTimeRequest(user_id=reader, cursor=cursor, limit=PAGE)
            with acting(Caller()):
                page = await self._mesh.graph.ListMutesByTime(request)
            found |= {entry.user_id for entry in page.entries}
            cursor = page.next_cursor
            if not cursor:
                return found

    async def follows(self, reader: bytes) -> dict[bytes, int]:
        """Whom a reader follows, and since when in milliseconds."""
        found: dict[bytes, int] = {}
        cursor = ""
        while True:
            request = graph_pb2.ListFollowingByTimeRequest(user_id=reader, cursor=cursor, limit=PAGE)
            with acting(Caller()):
                page = await self._mesh.graph.ListFollowingByTime(request)
            found |= {entry.user_id: entry.followed_at.ToMilliseconds() for entry in page.entries}
            cursor = page.next_cursor
            if not cursor:
                return found

    async def authored(self, author: bytes) -> Authored:
        """Every tweet of an author, the deleted ones named."""
        ids: list[bytes] = []
        deleted: set[bytes] = set()
        while True:
            oldest = ids[-1] if ids else b""
            request = tweet_pb2.ListAuthorTweetsRequest(
                author_id=author, max_id=oldest, limit=PAGE, include_deleted=True
            )
            with acting(Caller()):
                page = await self._mesh.tweets.ListAuthorTweets(request)
            ids += split_ids(page.tweet_ids)
            deleted |= set(split_ids(page.deleted_ids))
            if not page.has_more:
                return Authored(ids[::-1], frozenset(deleted))

    async def home(self, reader: bytes) -> list[bytes]:
        """The whole home as its reader would page through it, newest first."""
        ids: list[bytes] = []
        max_id: str | None = None
        while True:
            request = view_pb2.GetHomeTimelineRequest(limit=HOME_PAGE, max_id=max_id)
            with acting(self._mesh.acting_for(reader)):
                page = await self._mesh.views.GetHomeTimeline(request)
            ids += [uuid.UUID(tweet.tweet_id).bytes for tweet in page.tweets]
            if not page.has_more:
                return ids
            max_id = page.next_max_id
