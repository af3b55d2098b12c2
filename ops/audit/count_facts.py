"""Reads counts and the lists behind them through service-scoped rpcs, page by page; what follows from them is counts.py's matter."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aviary.engage.v1 import engage_pb2
from aviary.graph.v1 import graph_pb2
from aviary.mesh.v1 import mesh_pb2

from ops.audit.counts import Counts
from ops.audit.facts import PAGE, Facts
from runtime.context import Caller, acting
from runtime.ids import split_ids

LIKES_PAGE = 400
_FOLLOWERS_PAGE = 10_000
_POLL_S = 0.2


async def to_the_end(page: Callable[[str], Awaitable[tuple[list[bytes], str]]]) -> list[bytes]:
    """The whole of a list, as often as things are in it; `page` answers what is at a cursor, and the next one, empty at the end."""
    found: list[bytes] = []
    cursor = ""
    while True:
        with acting(Caller()):
            entries, cursor = await page(cursor)
        found += entries
        if not cursor:
            return found


class CountFacts(Facts):
    """The view of a running stack that an audit of its counts has. No view and no cache of it stands between."""

    async def settled(self, within_s: float) -> int:
        """Wait until every outbox is empty and every consumer has handled what was published, or the time is over; what is left."""
        end = asyncio.get_running_loop().time() + within_s
        while True:
            left = await self._pending()
            if not left or asyncio.get_running_loop().time() > end:
                return left
            await asyncio.sleep(_POLL_S)

    async def dead_letters(self) -> int:
        """Of all services."""
        return (await self.backlog()).dead_letters

    async def tweet_counts(self, tweets: Sequence[bytes]) -> dict[bytes, Counts]:
        """As anybody reads them who did nothing to these tweets."""
        with acting(Caller()):
            answer = await self._mesh.engagement.GetTweetCounts(engage_pb2.GetTweetCountsRequest(tweet_ids=tweets))
        return {
            c.tweet_id: {
                "likes": c.likes_count,
                "retweets": c.retweets_count,
                "replies": c.replies_count,
                "quotes": c.quote_tweets_count,
            }
            for c in answer.counts
        }

    async def user_counts(self, users: Sequence[bytes]) -> dict[bytes, Counts]:
        """As anybody else reads them."""
        with acting(Caller()):
            answer = await self._mesh.engagement.GetUserCounts(engage_pb2.GetUserCountsRequest(user_ids=users))
        return {
            c.user_id: {"followers": c.followers_count, "following": c.following_count, "tweets": c.tweets_count}
            for c in answer.counts
        }

    async def likers(self, tweet: bytes) -> list[bytes]:
        """Everybody who likes a tweet, as often as they are listed."""

        async def page(cursor: str) -> tuple[list[bytes], str]:
            request = engage_pb2.ListLikersRequest(tweet_id=tweet, cursor=cursor, limit=PAGE)
            answer = await self._mesh.engagement.ListLikers(request)
            return split_ids(answer.user_ids), answer.next_cursor

        return await to_the_end(page)

    async def liked(self, user: bytes) -> list[bytes]:
        """All that a user likes."""

        async def page(cursor: str) -> tuple[list[bytes], str]:
            request = engage_pb2.ListLikesRequest(user_id=user, cursor=cursor, limit=LIKES_PAGE)
            answer = await self._mesh.engagement.ListLikes(request)
            onwards = answer.tweets[-1].cursor if answer.has_more and answer.tweets else ""
            return [marked.tweet_id for marked in answer.tweets], onwards

        return await to_the_end(page)

    async def followers(self, user: bytes) -> list[bytes]:
        """Everybody who follows a user, each once: who has just been moved is in two partitions for a while."""
        with acting(Caller()):
            answer = await self._mesh.graph.GetFollowerShards(graph_pb2.GetFollowerShardsRequest(user_id=user))
        found: set[bytes] = set()
        for shard in answer.shards:
            after = b""
            while True:
                request = graph_pb2.GetFollowerPageRequest(
                    user_id=user, shard=shard, after=after, limit=_FOLLOWERS_PAGE
                )
                with acting(Caller()):
                    page = await self._mesh.graph.GetFollowerPage(request)
                ids = split_ids(page.follower_ids)
                found |= set(ids)
                if not page.has_more or not ids:
                    break
                after = ids[-1]
        return sorted(found)

    async def following(self, user: bytes) -> list[bytes]:
        """Whom a user follows."""
        return list(await self.follows(user))

    async def _pending(self) -> int:
        with acting(Caller()):
            calls = [stub.GetBacklog(mesh_pb2.GetBacklogRequest()) for stub in self._mesh.backlogs.values()]
            answers = await asyncio.gather(*calls)
        return sum(a.outbox_rows + sum(c.pending for c in a.consumers) for a in answers)
