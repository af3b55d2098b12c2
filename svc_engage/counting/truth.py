"""Who is a member of what, asked of those who own the relation: svc_graph and svc_tweet. Of likes the rows themselves say it."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

from aviary.graph.v1.graph_pb2 import (
    FollowerShard,
    GetFollowerPageRequest,
    GetFollowerShardsRequest,
    GetFollowSnapshotRequest,
)
from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub

from runtime.ids import split_ids
from svc_engage.counting.ascending import ascending
from svc_engage.domain.relations import Kind, Subject

_HELD = 100_000
"""So many followers are held at once, but for pages of the least size; a subject may have millions."""
_PAGE_LEAST, _PAGE_MOST = 50, 10_000
_TWEETS = 1_000


class Truth(Protocol):
    """What is true of a relation, whatever was counted."""

    def members(self, subject: Subject) -> AsyncIterator[bytes] | None:
        """All members now, ascending, perhaps some twice; None where the rows of the subject themselves are the truth. Reading them
        raises Unavailable.
        """


class MeshTruth:
    """Asks the services that own the relations."""

    def __init__(self, graph: GraphServiceAsyncStub, tweet: TweetServiceAsyncStub, held: int = _HELD) -> None:
        self._graph = graph
        self._tweet = tweet
        self._held = held

    def members(self, subject: Subject) -> AsyncIterator[bytes] | None:
        """See Truth."""
        match subject.kind:
            case Kind.FOLLOWERS:
                return self._followers(subject.subject_id)
            case Kind.FOLLOWING:
                return self._following(subject.subject_id)
            case Kind.TWEETS:
                return self._tweets(subject.subject_id)
        return None

    async def _followers(self, user_id: bytes) -> AsyncIterator[bytes]:
        shards = (await self._graph.GetFollowerShards(GetFollowerShardsRequest(user_id=user_id))).shards
        limit = min(max(self._held // max(1, len(shards)), _PAGE_LEAST), _PAGE_MOST)

        async def page(shard: FollowerShard, after: bytes) -> tuple[list[bytes], bool]:
            request = GetFollowerPageRequest(user_id=user_id, shard=shard, after=after, limit=limit)
            answer = await self._graph.GetFollowerPage(request)
            return split_ids(answer.follower_ids), answer.has_more

        async for follower in ascending([partial(page, shard) for shard in shards], lambda one: one):
            yield follower

    async def _following(self, user_id: bytes) -> AsyncIterator[bytes]:
        answer = await self._graph.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=user_id))
        for followee in sorted(split_ids(answer.followee_ids)):
            yield followee

    async def _tweets(self, author_id: bytes) -> AsyncIterator[bytes]:
        # They come newest first; as they are packed, a million of them take 16 MB.
        pages: list[bytes] = []
        request = ListAuthorTweetsRequest(author_id=author_id, limit=_TWEETS)
        while True:
            page = await self._tweet.ListAuthorTweets(request)
            pages.append(page.tweet_ids)
            if not page.has_more:
                break
            request.max_id = page.tweet_ids[-16:]
        for packed in reversed(pages):
            for tweet_id in reversed(split_ids(packed)):
                yield tweet_id
