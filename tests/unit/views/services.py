"""The data services of the small world: they answer out of it, and count that they were asked. What there is stands in world.py."""

from typing import TYPE_CHECKING, Any

from aviary.engage.v1 import engage_pb2, engage_pb2_grpc
from aviary.graph.v1 import graph_pb2, graph_pb2_grpc
from aviary.timeline.v1 import timeline_pb2, timeline_pb2_grpc
from aviary.tweet.v1 import tweet_pb2, tweet_pb2_grpc
from aviary.user.v1 import user_pb2, user_pb2_grpc

from runtime.context import current_caller
from runtime.errors import InvalidCursor

if TYPE_CHECKING:
    from tests.unit.views.world import World


class Timelines(timeline_pb2_grpc.TimelineServiceServicer):
    def __init__(self, world: "World") -> None:
        self._world = world

    async def GetHome(self, request: Any, context: Any) -> timeline_pb2.GetHomeResponse:
        world = self._world
        await world.served("GetHome")
        entries = [
            e
            for e in world.homes.get(request.user_id, [])
            if (not request.max_id or e[0] < request.max_id) and e[0] > request.since_id
        ]
        page = entries[: request.limit]
        return timeline_pb2.GetHomeResponse(
            tweet_ids=b"".join(e[0] for e in page),
            author_ids=b"".join(e[1] for e in page),
            has_more=len(entries) > len(page),
            graph_version=world.recent_versions.get(request.user_id, 0),
            deleted_ids=b"".join(world.recent_deletes.get(request.user_id, [])),
            profile_version=world.recent_profiles.get(request.user_id, 0),
            recent_unknown=world.recent_unknown,
        )


class Tweets(tweet_pb2_grpc.TweetServiceServicer):
    def __init__(self, world: "World") -> None:
        self._world = world

    async def GetTweets(self, request: Any, context: Any) -> tweet_pb2.GetTweetsResponse:
        copies = [tweet_pb2.StoredTweet.FromString(t.SerializeToString()) for t in self._found(request.tweet_ids)]
        await self._world.served("GetTweets")
        return tweet_pb2.GetTweetsResponse(tweets=reversed(copies))

    async def ListAuthorTweets(self, request: Any, context: Any) -> tweet_pb2.ListAuthorTweetsResponse:
        await self._world.served("ListAuthorTweets")
        mine = sorted((t.tweet_id for t in self._world.tweets.values() if self._listed(t, request)), reverse=True)
        page = mine[: request.limit]
        return tweet_pb2.ListAuthorTweetsResponse(tweet_ids=b"".join(page), has_more=len(mine) > len(page))

    def _found(self, wanted: list[bytes]) -> list[tweet_pb2.StoredTweet]:
        return [self._world.tweets[i] for i in wanted if i in self._world.tweets]

    def _listed(self, tweet: tweet_pb2.StoredTweet, request: Any) -> bool:
        within = (not request.max_id or tweet.tweet_id < request.max_id) and tweet.tweet_id > request.since_id
        return tweet.author_id == request.author_id and not tweet.deleted and within


class Users(user_pb2_grpc.UserServiceServicer):
    def __init__(self, world: "World") -> None:
        self._world = world

    async def GetUsers(self, request: Any, context: Any) -> user_pb2.GetUsersResponse:
        found = [copied(u) for i in request.user_ids if (u := self._world.users.get(i))]
        await self._world.served("GetUsers")
        return user_pb2.GetUsersResponse(users=found)

    async def GetAccount(self, request: Any, context: Any) -> user_pb2.GetAccountResponse:
        await self._world.served("GetAccount")

        account = copied(self._world.users[current_caller().user_id])
        account.email, account.role = "me@example.org", "user"
        return user_pb2.GetAccountResponse(user=account)

    async def ResolveUsernames(self, request: Any, context: Any) -> user_pb2.ResolveUsernamesResponse:
        await self._world.served("ResolveUsernames")
        known = {u.username.lower(): i for i, u in self._world.users.items()}
        found = [(n, known[n.lower()]) for n in request.usernames if n.lower() in known]
        return user_pb2.ResolveUsernamesResponse(
            users=[user_pb2.ResolvedUsername(username=n, user_id=i) for n, i in found]
        )


class Graph(graph_pb2_grpc.GraphServiceServicer):
    def __init__(self, world: "World") -> None:
        self._world = world

    async def GetViewerSnapshot(self, request: Any, context: Any) -> graph_pb2.GetViewerSnapshotResponse:
        world, me = self._world, request.user_id
        state = b"%d" % world.states[me]
        apart = {b for a, b in world.blocks if a == me} | {a for a, b in world.blocks if b == me}
        mutes = {b: until for (a, b), until in world.mutes.items() if a == me}
        blocked_by = sorted(a for a, b in world.blocks if b == me)
        snapshot = graph_pb2.GetViewerSnapshotResponse(
            state=b"" if world.unnamed else state,
            version=world.versions.get(me, 0),
            followee_ids=b"".join(b for a, b in world.follows if a == me and b not in apart),
            blocked_ids=b"".join(b for a, b in world.blocks if a == me),
            muted_ids=b"".join(mutes),
            muted_until_ms=mutes.values(),
            blocked_by_ids=b"".join(blocked_by[: world.most_blocked_by]),
            more_blocked_by=len(blocked_by) > world.most_blocked_by,
        )
        await world.served("GetViewerSnapshot")
        return snapshot

    async def CompareSnapshots(self, request: Any, context: Any) -> graph_pb2.CompareSnapshotsResponse:
        world = self._world
        unchanged = [known for known in request.known if known.state == b"%d" % world.states[known.user_id]]
        world.unchanged += len(unchanged)
        await world.served("CompareSnapshots")
        return graph_pb2.CompareSnapshotsResponse(unchanged=unchanged)

    async def GetRelationships(self, request: Any, context: Any) -> graph_pb2.GetRelationshipsResponse:
        await self._world.served("GetRelationships")
        return graph_pb2.GetRelationshipsResponse(entries=[self._stand(request.user_id, o) for o in request.other_ids])

    def _stand(self, me: bytes, other: bytes) -> graph_pb2.RelationshipEntry:
        world = self._world
        return graph_pb2.RelationshipEntry(
            user_id=other,
            following=(me, other) in world.follows,
            followed_by=(other, me) in world.follows,
            blocking=(me, other) in world.blocks,
            blocked_by=(other, me) in world.blocks,
            muting=(me, other) in world.mutes,
        )

    async def ListFollowersByTime(self, request: Any, context: Any) -> graph_pb2.ListFollowersByTimeResponse:
        await self._world.served("ListFollowersByTime")
        everybody = sorted(a for a, b in self._world.follows if b == request.user_id)
        page, cursor = _page(everybody, request)
        return graph_pb2.ListFollowersByTimeResponse(entries=page, next_cursor=cursor)

    async def ListFollowingByTime(self, request: Any, context: Any) -> graph_pb2.ListFollowingByTimeResponse:
        await self._world.served("ListFollowingByTime")
        everybody = sorted(b for a, b in self._world.follows if a == request.user_id)
        page, cursor = _page(everybody, request)
        return graph_pb2.ListFollowingByTimeResponse(entries=page, next_cursor=cursor)

    async def ListBlocksByTime(self, request: Any, context: Any) -> graph_pb2.ListBlocksByTimeResponse:
        await self._world.served("ListBlocksByTime")
        page, cursor = _page(sorted(b for a, b in self._world.blocks if a == request.user_id), request)
        return graph_pb2.ListBlocksByTimeResponse(entries=page, next_cursor=cursor)

    async def ListMutesByTime(self, request: Any, context: Any) -> graph_pb2.ListMutesByTimeResponse:
        await self._world.served("ListMutesByTime")
        page, cursor = _page(sorted(b for a, b in self._world.mutes if a == request.user_id), request)
        return graph_pb2.ListMutesByTimeResponse(entries=page, next_cursor=cursor)

    async def ListKnownFollowers(self, request: Any, context: Any) -> graph_pb2.ListKnownFollowersResponse:
        await self._world.served("ListKnownFollowers")
        follows = self._world.follows
        known = sorted(a for a, b in follows if b == request.user_id and (request.viewer_id, a) in follows)
        page, cursor = _page(known, request)
        return graph_pb2.ListKnownFollowersResponse(entries=page, next_cursor=cursor)

    async def SuggestAccounts(self, request: Any, context: Any) -> graph_pb2.SuggestAccountsResponse:
        """Everybody else, in the order of their ids: whom the caller follows, too, as if svc_graph's answer were old."""
        await self._world.served("SuggestAccounts")
        others = [user for user in self._world.users if user != request.user_id][: request.limit]
        return graph_pb2.SuggestAccountsResponse(suggestions=[graph_pb2.Suggestion(user_id=user) for user in others])


def _page(everybody: list[bytes], request: Any) -> tuple[list[graph_pb2.FollowEntry], str]:
    start = _start(request)
    page = everybody[start : start + request.limit]
    more = start + len(page) < len(everybody)
    return [graph_pb2.FollowEntry(user_id=i) for i in page], str(start + len(page)) if more else ""


class Engage(engage_pb2_grpc.EngageServiceServicer):
    """Counts what it is asked for; a cursor is the number of entries before."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def GetTweetCounts(self, request: Any, context: Any) -> engage_pb2.GetTweetCountsResponse:
        await self._world.served("GetTweetCounts")
        counts = [self._counts(tweet_id, request.viewer_id) for tweet_id in request.tweet_ids]
        return engage_pb2.GetTweetCountsResponse(
            counts=reversed(counts),
            graph_version=self._world.recent_versions.get(request.viewer_id, 0),
            recent_unknown=self._world.recent_unknown and bool(request.viewer_id),
        )

    async def GetUserCounts(self, request: Any, context: Any) -> engage_pb2.GetUserCountsResponse:
        await self._world.served("GetUserCounts")
        world = self._world
        return engage_pb2.GetUserCountsResponse(
            counts=[
                engage_pb2.UserCounts(
                    user_id=user_id,
                    followers_count=sum(1 for _, b in world.follows if b == user_id),
                    following_count=sum(1 for a, _ in world.follows if a == user_id),
                    tweets_count=sum(1 for t in world.tweets.values() if t.author_id == user_id and not t.deleted),
                )
                for user_id in request.user_ids
            ]
        )

    async def ListLikers(self, request: Any, context: Any) -> engage_pb2.ListLikersResponse:
        await self._world.served("ListLikers")
        likers = [user for user, tweet in reversed(self._world.marks["like"]) if tweet == request.tweet_id]
        start = _start(request)
        page = likers[start : start + request.limit]
        more = start + len(page) < len(likers)
        return engage_pb2.ListLikersResponse(
            user_ids=b"".join(page), next_cursor=str(start + len(page)) if more else ""
        )

    async def ListLikes(self, request: Any, context: Any) -> engage_pb2.ListLikesResponse:
        await self._world.served("ListLikes")
        page, more = self._marked("like", request)
        return engage_pb2.ListLikesResponse(tweets=page, has_more=more)

    async def ListBookmarkedTweets(self, request: Any, context: Any) -> engage_pb2.ListBookmarkedTweetsResponse:
        await self._world.served("ListBookmarkedTweets")
        page, more = self._marked("bookmark", request)
        return engage_pb2.ListBookmarkedTweetsResponse(tweets=page, has_more=more)

    def _counts(self, tweet_id: bytes, viewer: bytes) -> engage_pb2.TweetCounts:
        marks = self._world.marks
        return engage_pb2.TweetCounts(
            tweet_id=tweet_id,
            likes_count=sum(1 for _, tweet in marks["like"] if tweet == tweet_id),
            liked=(viewer, tweet_id) in marks["like"],
            bookmarked=(viewer, tweet_id) in marks["bookmark"],
        )

    def _marked(self, kind: str, request: Any) -> tuple[list[engage_pb2.MarkedTweet], bool]:
        mine = [tweet for user, tweet in reversed(self._world.marks[kind]) if user == request.user_id]
        start = _start(request)
        page = mine[start : start + request.limit]
        entries = [
            engage_pb2.MarkedTweet(
                tweet_id=tweet_id, author_id=self._world.tweets[tweet_id].author_id, cursor=str(start + n)
            )
            for n, tweet_id in enumerate(page, 1)
        ]
        return entries, start + len(page) < len(mine)


def _start(request: Any) -> int:
    if request.cursor and not request.cursor.isdigit():
        raise InvalidCursor("not mine")
    return int(request.cursor or 0)


def copied(user: user_pb2.User) -> user_pb2.User:
    return user_pb2.User.FromString(user.SerializeToString())
