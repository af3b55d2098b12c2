"""Failures of the social graph; failures that no area owns are in runtime.errors."""

from aviary.graph.v1 import reason_pb2

from runtime.errors import FailedPrecondition, NotFound, PermissionDenied, named


class FolloweeNotFound(NotFound):
    """There is no such account to follow: it never was, is deleted, or is suspended."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_FOLLOWEE_NOT_FOUND)


class CannotFollowSelf(FailedPrecondition):
    """Follower and followee are the same account."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CANNOT_FOLLOW_SELF)


class Blocked(PermissionDenied):
    """One of the two blocks the other."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_BLOCKED)


class FollowLimitReached(FailedPrecondition):
    """The account follows as many others as it may."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_FOLLOW_LIMIT_REACHED)


class AccountNotFound(NotFound):
    """There is no such account to block or mute: it never was, or is deleted."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_ACCOUNT_NOT_FOUND)


class CannotBlockSelf(FailedPrecondition):
    """Nobody blocks oneself."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CANNOT_BLOCK_SELF)


class CannotMuteSelf(FailedPrecondition):
    """Nobody mutes oneself."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_CANNOT_MUTE_SELF)


class BlockLimitReached(FailedPrecondition):
    """The account blocks as many others as it may."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_BLOCK_LIMIT_REACHED)


class MuteLimitReached(FailedPrecondition):
    """The account mutes as many others as it may."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_MUTE_LIMIT_REACHED)
