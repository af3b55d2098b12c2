"""Failures of the social graph; failures that no area owns are in runtime.errors."""

from aviary.graph.v1 import reason_pb2

from runtime.errors import FailedPrecondition, NotFound, named


class FolloweeNotFound(NotFound):
    """There is no such account to follow."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_FOLLOWEE_NOT_FOUND)


class CannotFollowSelf(FailedPrecondition):
    """Follower and followee are the same account."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CANNOT_FOLLOW_SELF)
