"""Failures of tweets; failures that no area owns are in runtime.errors."""

from aviary.tweet.v1 import reason_pb2

from runtime.errors import FailedPrecondition, NotFound, PermissionDenied, named


class TweetNotFound(NotFound):
    """No such tweet, or it was deleted."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_TWEET_NOT_FOUND)


class TweetTooLong(FailedPrecondition):
    """The weighted length is over the limit."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_TWEET_TOO_LONG)


class TweetEmpty(FailedPrecondition):
    """Nothing is left after trimming."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_TWEET_EMPTY)


class NotYourTweet(PermissionDenied):
    """The tweet is somebody else's."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_NOT_YOUR_TWEET)
