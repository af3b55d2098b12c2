"""The failures that views have of their own; those of the data services pass through as they came."""

from aviary.tweet.v1 import reason_pb2 as tweet_reason_pb2
from aviary.user.v1 import reason_pb2 as user_reason_pb2

from runtime.errors import NotFound, named


class TweetNotFound(NotFound):
    """No such tweet, or it was deleted, or it is hidden from the viewer; to a viewer all are the same."""

    reason = named(tweet_reason_pb2.Reason, tweet_reason_pb2.REASON_TWEET_NOT_FOUND)


class UserNotFound(NotFound):
    """No such account."""

    reason = named(user_reason_pb2.Reason, user_reason_pb2.REASON_USER_NOT_FOUND)
