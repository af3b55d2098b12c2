"""The values that travel through a list: what was asked, what the skeleton found, what hydration added. No I/O and no rules."""

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from aviary.user.v1 import user_pb2

NOBODY_FOLLOWED: frozenset[bytes] = frozenset()


class Item(NamedTuple):
    """One entry of a list: a tweet and its author, 16 bytes each."""

    tweet_id: bytes
    author_id: bytes


@dataclass(slots=True, eq=False)
class Author:
    """An account as its service gave it, and when (seconds of a monotonic clock)."""

    user: user_pb2.User
    loaded_at: float


@dataclass(slots=True, eq=False)
class CachedTweet:
    """A tweet as its service gave it: the body never changes, the status was true in `epoch`, deletion is final.

    `framed` is the presentation with the author `framed_for`, made at most once for both.
    """

    author_id: bytes
    body: bytes
    deleted: bool
    epoch: int
    framed_for: Author | None = None
    framed: bytes = b""


@dataclass(frozen=True, slots=True)
class Query:
    """Which part of which list for whom. `viewer` is empty for nobody; ids are 16 bytes or empty; `limit` is the page size."""

    viewer: bytes
    subject: bytes
    limit: int
    max_id: bytes = b""
    since_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Recent:
    """What the viewer did within the last minute, which caches may not know yet."""

    graph_version: int = 0
    deleted_ids: Collection[bytes] = ()
    unknown: bool = False


NOTHING_RECENT = Recent()


@dataclass(frozen=True, slots=True)
class Scan:
    """A stretch of a skeleton, newest first. `has_more`: older entries follow the last one."""

    items: list[Item]
    has_more: bool
    recent: Recent = NOTHING_RECENT


@dataclass(frozen=True, slots=True)
class State:
    """Everything that rules and presentation may look at; they never await."""

    viewer: bytes
    tweets: Mapping[bytes, CachedTweet]
    authors: Mapping[bytes, Author]
    deleted: Set[bytes] = field(default_factory=frozenset)
    follows: Set[bytes] = NOBODY_FOLLOWED


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is answered: presented tweets (see present.tweet_frame), newest first; `next_max_id` is empty at the true end."""

    frames: list[bytes]
    next_max_id: bytes
    has_more: bool
