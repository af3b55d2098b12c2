"""What each event says about relations: events in, changes out. What changes do to counts is sums.py; no I/O here."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aviary.engage.v1.events_pb2 import LikeSet
from aviary.graph.v1.events_pb2 import FollowerSet, FollowSet
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted
from google.protobuf.message import Message

from ordered import Item
from runtime.bus import Poison
from runtime.bus.envelope import PARTITIONS
from svc_engage.domain.marks import LikeState
from svc_engage.domain.relations import TWEET_CREATED, TWEET_DELETED, Change, Kind, Subject
from svc_engage.events import like_state

_ID_BYTES = 16

ChangeOf = Callable[[Item], Change]


def like(item: Item) -> Change:
    """Of LikeSet: the log itself orders the states of a pair, by the place at which each was set first. Raises Poison."""
    event: LikeSet = item.event
    return _change(event.tweet_id, Kind.LIKES, event.user_id, event.liked, item.at, item.place)


def follow(item: Item) -> Change:
    """Of FollowSet and FollowerSet, which come in any order: the version of the edge orders its states. Raises Poison."""
    event: FollowSet | FollowerSet = item.event
    if isinstance(event, FollowSet):
        return _change(event.follower_id, Kind.FOLLOWING, event.followee_id, event.following, event.version, item.place)
    return _change(event.followee_id, Kind.FOLLOWERS, event.follower_id, event.following, event.version, item.place)


def tweet(item: Item) -> Change:
    """Of TweetCreated and TweetDeleted, which come in any order. Raises Poison."""
    event: TweetCreated | TweetDeleted = item.event
    created = isinstance(event, TweetCreated)
    version = TWEET_CREATED if created else TWEET_DELETED
    return _change(event.author_id, Kind.TWEETS, event.tweet_id, created, version, item.place)


def listed(item: Item) -> LikeState:
    """The like that the lists are to show. Its place is the one at which it was set first."""
    return like_state(item.event, item.at)


@dataclass(frozen=True, slots=True)
class Log:
    """One log that is counted: who reads it under which name, and what its events say."""

    durable: str
    messages: Sequence[type[Message]]
    kinds: frozenset[Kind]
    change_of: ChangeOf
    state_of: Callable[[Item], LikeState] | None = None
    """Of a log whose members are also listed by place; None where somebody else keeps the lists."""


LOGS = (
    Log("engage-likes", (LikeSet,), frozenset({Kind.LIKES}), like, listed),
    Log("engage-follows", (FollowSet, FollowerSet), frozenset({Kind.FOLLOWING, Kind.FOLLOWERS}), follow),
    Log("engage-tweets", (TweetCreated, TweetDeleted), frozenset({Kind.TWEETS}), tweet),
)


def partition_of(subject: Subject) -> int:
    """The partition whose events are counted for a subject: that of the key with which they are published."""
    return zlib.crc32(subject.subject_id) % PARTITIONS


def _change(subject_id: bytes, kind: Kind, member: bytes, present: bool, version: int, place: int) -> Change:
    if len(subject_id) != _ID_BYTES or len(member) != _ID_BYTES:
        raise Poison("an id is not 16 bytes long")
    return Change(Subject(subject_id, kind), member, present, version, place)


def occurred_ms(event: Any) -> int:
    """When an event happened, in milliseconds since 1970, as the process said that announced it."""
    ms: int = event.occurred_at.ToMilliseconds()
    return ms
