"""Table of contents of EngageService: each rpc and the function that answers it."""

from aviary.engage.v1 import engage_pb2 as pb
from aviary.engage.v1.engage_pb2_grpc import EngageServiceServicer

from runtime.context import current_caller
from svc_engage.deps import Deps
from svc_engage.rpcs.bookmark import bookmark
from svc_engage.rpcs.get_interactions import get_interactions
from svc_engage.rpcs.get_tweet_counts import get_tweet_counts
from svc_engage.rpcs.get_user_counts import get_user_counts
from svc_engage.rpcs.like import like
from svc_engage.rpcs.list_bookmarked_tweets import list_bookmarked_tweets
from svc_engage.rpcs.list_likers import list_likers
from svc_engage.rpcs.list_likes import list_likes
from svc_engage.rpcs.remove_bookmark import remove_bookmark
from svc_engage.rpcs.unlike import unlike


class EngageServicer(EngageServiceServicer):
    """Serves EngageService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def Like(self, request: pb.LikeRequest, context: object) -> pb.LikeResponse:
        """See rpcs/like.py."""
        return await like(request, current_caller(), self._deps)

    async def Unlike(self, request: pb.UnlikeRequest, context: object) -> pb.UnlikeResponse:
        """See rpcs/unlike.py."""
        return await unlike(request, current_caller(), self._deps)

    async def Bookmark(self, request: pb.BookmarkRequest, context: object) -> pb.BookmarkResponse:
        """See rpcs/bookmark.py."""
        return await bookmark(request, current_caller(), self._deps)

    async def RemoveBookmark(self, request: pb.RemoveBookmarkRequest, context: object) -> pb.RemoveBookmarkResponse:
        """See rpcs/remove_bookmark.py."""
        return await remove_bookmark(request, current_caller(), self._deps)

    async def ListLikers(self, request: pb.ListLikersRequest, context: object) -> pb.ListLikersResponse:
        """See rpcs/list_likers.py."""
        return await list_likers(request, current_caller(), self._deps)

    async def ListLikes(self, request: pb.ListLikesRequest, context: object) -> pb.ListLikesResponse:
        """See rpcs/list_likes.py."""
        return await list_likes(request, current_caller(), self._deps)

    async def ListBookmarkedTweets(
        self, request: pb.ListBookmarkedTweetsRequest, context: object
    ) -> pb.ListBookmarkedTweetsResponse:
        """See rpcs/list_bookmarked_tweets.py."""
        return await list_bookmarked_tweets(request, current_caller(), self._deps)

    async def GetTweetCounts(self, request: pb.GetTweetCountsRequest, context: object) -> pb.GetTweetCountsResponse:
        """See rpcs/get_tweet_counts.py."""
        return await get_tweet_counts(request, current_caller(), self._deps)

    async def GetUserCounts(self, request: pb.GetUserCountsRequest, context: object) -> pb.GetUserCountsResponse:
        """See rpcs/get_user_counts.py."""
        return await get_user_counts(request, current_caller(), self._deps)

    async def GetInteractions(self, request: pb.GetInteractionsRequest, context: object) -> pb.GetInteractionsResponse:
        """See rpcs/get_interactions.py."""
        return await get_interactions(request, current_caller(), self._deps)
