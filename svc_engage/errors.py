"""Failures of engagement; failures that no area owns are in runtime.errors."""

from aviary.graph.v1 import reason_pb2 as graph_reason_pb2
from aviary.tweet.v1 import reason_pb2 as tweet_reason_pb2

from runtime.errors import NotFound, PermissionDenied, named


class TweetNotFound(NotFound):
    """No such tweet, or it was deleted. Tweets are svc_tweet's, and so is the reason."""

    reason = named(tweet_reason_pb2.Reason, tweet_reason_pb2.REASON_TWEET_NOT_FOUND)


class Blocked(PermissionDenied):
    """The caller and the author of the tweet do not have to do with each other. Blocks are svc_graph's, and so is the reason."""

    reason = named(graph_reason_pb2.Reason, graph_reason_pb2.REASON_BLOCKED)
