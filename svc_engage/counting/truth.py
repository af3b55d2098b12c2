"""Who is a member of what, asked of those who own the relation: svc_graph and svc_tweet. Of likes the rows themselves say it."""

from typing import Protocol

from aviary.graph.v1.graph_pb2 import GetFollowerPageRequest, GetFollowerShardsRequest, GetFollowSnapshotRequest
from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub

from runtime.ids import split_ids
from svc_engage.domain.relations import Kind, Subject

_FOLLOWERS = 10_000
_TWEETS = 1_000


class Truth(Protocol):
    """What is true of a relation, whatever was counted."""

    async def members(self, subject: Subject) -> set[bytes] | None:
        """All members now; None where the rows of the subject themselves are the truth. Raises Unavailable."""


class MeshTruth:
    """Asks the services that own the relations."""

    def __init__(self, graph: GraphServiceAsyncStub, tweet: TweetServiceAsyncStub) -> None:
        self._graph = graph
        self._tweet = tweet

    async def members(self, subject: Subject) -> set[bytes] | None:
        """See Truth."""
        match subject.kind:
            case Kind.FOLLOWERS:
                return await self._followers(subject.subject_id)
            case Kind.FOLLOWING:
                answer = await self._graph.GetFollowSnapshot(GetFollowSnapshotRequest(user_id=subject.subject_id))
                return set(split_ids(answer.followee_ids))
            case Kind.TWEETS:
                return await self._tweets(subject.subject_id)
        return None

    async def _followers(self, user_id: bytes) -> set[bytes]:
        found: set[bytes] = set()
        shards = await self._graph.GetFollowerShards(GetFollowerShardsRequest(user_id=user_id))
        for shard in shards.shards:
            request = GetFollowerPageRequest(user_id=user_id, shard=shard, limit=_FOLLOWERS)
            while True:
                page = await self._graph.GetFollowerPage(request)
                ids = split_ids(page.follower_ids)
                found.update(ids)
                if not page.has_more:
                    break
                request.after = ids[-1]
        return found

    async def _tweets(self, author_id: bytes) -> set[bytes]:
        found: set[bytes] = set()
        request = ListAuthorTweetsRequest(author_id=author_id, limit=_TWEETS)
        while True:
            page = await self._tweet.ListAuthorTweets(request)
            ids = split_ids(page.tweet_ids)
            found.update(ids)
            if not page.has_more:
                return found
            request.max_id = ids[-1]
