"""Failures of engagement; failures that no area owns are in runtime.errors."""

from aviary.tweet.v1 import reason_pb2 as tweet_reason_pb2

from runtime.errors import NotFound, named


class TweetNotFound(NotFound):
    """No such tweet, or it was deleted. Tweets are svc_tweet's, and so is the reason."""

    reason = named(tweet_reason_pb2.Reason, tweet_reason_pb2.REASON_TWEET_NOT_FOUND)
