"""Table of contents: which function answers which rpc of aviary.view.v1. Nothing is done here."""

from typing import Any

from aviary.view.v1 import view_pb2
from aviary.view.v1.view_pb2_grpc import ViewServiceServicer

from runtime.context import current_caller
from views.deps import Deps
from views.rpcs.get_home_timeline import get_home_timeline
from views.rpcs.get_me import get_me
from views.rpcs.get_relationship import get_relationship
from views.rpcs.get_tweet import get_tweet
from views.rpcs.get_user import get_user
from views.rpcs.get_user_by_username import get_user_by_username
from views.rpcs.get_user_timeline import get_user_timeline
from views.rpcs.list_blocks import list_blocks
from views.rpcs.list_bookmarks import list_bookmarks
from views.rpcs.list_followers import list_followers
from views.rpcs.list_following import list_following
from views.rpcs.list_mutes import list_mutes
from views.rpcs.list_suggestions import list_suggestions
from views.rpcs.list_tweet_likes import list_tweet_likes
from views.rpcs.list_tweets import list_tweets
from views.rpcs.list_user_likes import list_user_likes


class ViewServicer(ViewServiceServicer):
    """Serves aviary.view.v1.ViewService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def GetTweet(self, request: view_pb2.GetTweetRequest, context: Any) -> view_pb2.GetTweetResponse:
        """See the contract."""
        return await get_tweet(request, current_caller(), self._deps)

    async def ListTweets(self, request: view_pb2.ListTweetsRequest, context: Any) -> view_pb2.ListTweetsResponse:
        """See the contract."""
        return await list_tweets(request, current_caller(), self._deps)

    async def GetHomeTimeline(
        self, request: view_pb2.GetHomeTimelineRequest, context: Any
    ) -> view_pb2.GetHomeTimelineResponse:
        """See the contract."""
        return await get_home_timeline(request, current_caller(), self._deps)

    async def GetUserTimeline(
        self, request: view_pb2.GetUserTimelineRequest, context: Any
    ) -> view_pb2.GetUserTimelineResponse:
        """See the contract."""
        return await get_user_timeline(request, current_caller(), self._deps)

    async def GetMe(self, request: view_pb2.GetMeRequest, context: Any) -> view_pb2.GetMeResponse:
        """See the contract."""
        return await get_me(request, current_caller(), self._deps)

    async def GetUser(self, request: view_pb2.GetUserRequest, context: Any) -> view_pb2.GetUserResponse:
        """See the contract."""
        return await get_user(request, current_caller(), self._deps)

    async def GetUserByUsername(
        self, request: view_pb2.GetUserByUsernameRequest, context: Any
    ) -> view_pb2.GetUserByUsernameResponse:
        """See the contract."""
        return await get_user_by_username(request, current_caller(), self._deps)

    async def ListFollowers(
        self, request: view_pb2.ListFollowersRequest, context: Any
    ) -> view_pb2.ListFollowersResponse:
        """See the contract."""
        return await list_followers(request, current_caller(), self._deps)

    async def ListFollowing(
        self, request: view_pb2.ListFollowingRequest, context: Any
    ) -> view_pb2.ListFollowingResponse:
        """See the contract."""
        return await list_following(request, current_caller(), self._deps)

    async def ListTweetLikes(
        self, request: view_pb2.ListTweetLikesRequest, context: Any
    ) -> view_pb2.ListTweetLikesResponse:
        """See the contract."""
        return await list_tweet_likes(request, current_caller(), self._deps)

    async def ListUserLikes(
        self, request: view_pb2.ListUserLikesRequest, context: Any
    ) -> view_pb2.ListUserLikesResponse:
        """See the contract."""
        return await list_user_likes(request, current_caller(), self._deps)

    async def ListBookmarks(
        self, request: view_pb2.ListBookmarksRequest, context: Any
    ) -> view_pb2.ListBookmarksResponse:
        """See the contract."""
        return await list_bookmarks(request, current_caller(), self._deps)

    async def ListBlocks(self, request: view_pb2.ListBlocksRequest, context: Any) -> view_pb2.ListBlocksResponse:
        """See the contract."""
        return await list_blocks(request, current_caller(), self._deps)

    async def ListMutes(self, request: view_pb2.ListMutesRequest, context: Any) -> view_pb2.ListMutesResponse:
        """See the contract."""
        return await list_mutes(request, current_caller(), self._deps)

    async def GetRelationship(
        self, request: view_pb2.GetRelationshipRequest, context: Any
    ) -> view_pb2.GetRelationshipResponse:
        """See the contract."""
        return await get_relationship(request, current_caller(), self._deps)

    async def ListSuggestions(
        self, request: view_pb2.ListSuggestionsRequest, context: Any
    ) -> view_pb2.ListSuggestionsResponse:
        """See the contract."""
        return await list_suggestions(request, current_caller(), self._deps)
