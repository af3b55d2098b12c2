"""Table of contents of TweetService: each rpc and the function that answers it."""

from aviary.tweet.v1 import tweet_pb2 as pb
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceServicer

from runtime.context import current_caller
from svc_tweet.deps import Deps
from svc_tweet.rpcs.create_tweet import create_tweet
from svc_tweet.rpcs.delete_tweet import delete_tweet
from svc_tweet.rpcs.get_tweets import get_tweets
from svc_tweet.rpcs.list_author_tweets import list_author_tweets


class TweetServicer(TweetServiceServicer):
    """Serves TweetService."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def CreateTweet(self, request: pb.CreateTweetRequest, context: object) -> pb.CreateTweetResponse:
        """See rpcs/create_tweet.py."""
        return await create_tweet(request, current_caller(), self._deps)

    async def DeleteTweet(self, request: pb.DeleteTweetRequest, context: object) -> pb.DeleteTweetResponse:
        """See rpcs/delete_tweet.py."""
        return await delete_tweet(request, current_caller(), self._deps)

    async def GetTweets(self, request: pb.GetTweetsRequest, context: object) -> pb.GetTweetsResponse:
        """See rpcs/get_tweets.py."""
        return await get_tweets(request, current_caller(), self._deps)

    async def ListAuthorTweets(
        self, request: pb.ListAuthorTweetsRequest, context: object
    ) -> pb.ListAuthorTweetsResponse:
        """See rpcs/list_author_tweets.py."""
        return await list_author_tweets(request, current_caller(), self._deps)
