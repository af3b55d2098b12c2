"""The values that travel through a list: what was asked, what the skeleton found, what hydration added. No I/O and no rules."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from accounts import Account
from relations.snapshot import EVERYTHING, Sight
from views.engagement import Engaged
from views.recent import NOTHING_RECENT, Recent


class Item(NamedTuple):
    """One entry of a list: a tweet and its author, 16 bytes each. Lists that are not in the order of ids go on at `cursor`."""

    tweet_id: bytes
    author_id: bytes
    cursor: str = ""


@dataclass(slots=True, eq=False)
class CachedTweet:
    """A tweet as its service gave it: the body never changes, the status was true in `epoch`, deletion is final.

    `framed` is the presentation with the author `framed_for`, made at most once for both; counts and flags are not in it.
    """

    author_id: bytes
    body: bytes
    deleted: bool
    epoch: int
    framed_for: Account | None = None
    framed: bytes = b""


@dataclass(frozen=True, slots=True)
class Query:
    """Which part of which list for whom. `viewer` is empty for nobody; ids are 16 bytes or empty; `limit` is the page size.

    A list goes on behind `max_id`, or, if it is not in the order of ids, at `cursor`.
    """

    viewer: bytes
    subject: bytes
    limit: int
    max_id: bytes = b""
    since_id: bytes = b""
    cursor: str = ""


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
    authors: Mapping[bytes, Account]
    deleted: Set[bytes] = field(default_factory=frozenset)
    sight: Sight = EVERYTHING
    engaged: Mapping[bytes, Engaged] = field(default_factory=dict)
    away: bool = False
    """Counts and flags are not from their owner."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is answered: presented tweets (see present.tweet_frame), in order.

    Where the next one begins: `next_max_id`, or `next_cursor` in lists that have cursors; both are empty at the true end.
    `away`: counts and flags are not from their owner.
    """

    frames: list[bytes]
    next_max_id: bytes
    has_more: bool
    next_cursor: str = ""
    away: bool = False


NO_PAGE = Page([], b"", False)
"""All there is of a list that is hidden as a whole."""
