"""What is counted: relations between a subject and its members, the changes that a log makes to them, and the count. No I/O."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from aviary.engage.v1 import engage_pb2

TWEET_CREATED, TWEET_DELETED = 1, 2
"""Versions of a tweet: a deletion is later than the creation, in whichever order they come."""


class Kind(IntEnum):
    """A relation, and what its count is called. The numbers are those of the contract's CountKind."""

    LIKES = engage_pb2.COUNT_KIND_LIKES
    """Subject: tweet. Members: users who like it."""
    RETWEETS = engage_pb2.COUNT_KIND_RETWEETS
    """Subject: tweet. Members: users who retweeted it."""
    REPLIES = engage_pb2.COUNT_KIND_REPLIES
    """Subject: tweet. Members: replies."""
    QUOTES = engage_pb2.COUNT_KIND_QUOTES
    """Subject: tweet. Members: tweets that quote it."""
    FOLLOWERS = engage_pb2.COUNT_KIND_FOLLOWERS
    """Subject: followee. Members: followers."""
    FOLLOWING = engage_pb2.COUNT_KIND_FOLLOWING
    """Subject: follower. Members: followees."""
    TWEETS = engage_pb2.COUNT_KIND_TWEETS
    """Subject: author. Members: tweets."""


class Subject(NamedTuple):
    """One relation of one tweet or user: what has a count."""

    subject_id: bytes
    """16 bytes."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class Change:
    """A state of one member, as a log tells it. The state with the greatest version among those up to a place holds there."""

    subject: Subject
    member: bytes
    """16 bytes."""
    present: bool
    version: int
    """Orders the states of this member."""
    place: int
    """Where it stands in the log now: grows along the partition."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is stored of one member. The first three are the counting owner's, the last two of whoever set the state first."""

    counted: bool = False
    """Whether the member is in the count at `counted_at`."""
    version: int = 0
    """Of the state that is counted; 0 for never."""
    counted_at: int = 0
    """Place of the last change that was looked at."""
    present: bool = False
    """Likes only: the state at `at`, maybe ahead of what is counted."""
    at: int = 0
    """Likes only: place of that state; the rows of lists are written up to it. 0 for never."""
    since: int = 0
    """Likes only: the place at which the state at `at` began; setting it again does not change it."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many members are present when the log is read up to the place `as_of`, itself included; 0 for nothing read.

    A pure function of the log, so whoever counted further is right, and two who counted equally far agree.
    """

    count: int = 0
    as_of: int = 0
    level: int = 0
    """How far the rows are split: the level that the greatest count so far asked for. Never falls, so no row is ever missed."""


NEVER = Row()
NOTHING = Count()


def merged(one: Row, other: Row) -> Row:
    """What the rows of one member at two levels say together: of each half what was written last."""
    counted = one if one.counted_at >= other.counted_at else other
    stated = one if one.at >= other.at else other
    return replace(counted, present=stated.present, at=stated.at, since=stated.since)
