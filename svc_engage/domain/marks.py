"""What one user did with one tweet: likes and bookmarks, how states of them are ordered, and their places in lists. No I/O."""

import datetime
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from runtime.ids import ms_of
from svc_engage.domain.relations import Row

_MINUTE_MS = 60_000


class MarkKind(IntEnum):
    """What a user does with a tweet."""

    LIKE = 1
    BOOKMARK = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """The state of one user and one tweet. Of two states the one with the greater `at` is the later; 0: never set."""

    present: bool = False
    at: int = 0
    """Of a like its place in the log, of a bookmark its version in microseconds."""
    delta: int = 0
    """Of a like: by how much it changed the count. Only to be added to a count that ends before `at`."""
    author_id: bytes = b""
    """Of the tweet."""
    marked_ms: int = 0
    """When this state began, in milliseconds."""
    bucket: int = 0
    """Of a like: in which part of the tweet's likers it is listed."""
    since: int = 0
    """The `at` at which this state began: setting it again changes `at` alone. Its place in lists, with `marked_ms`, `bucket`."""


UNMARKED = Mark()


class Placed(NamedTuple):
    """Where an entry of a user's list stands: by year of the marking, then by `since`, both downwards."""

    year: int
    since: int
    tweet_id: bytes


class PlacedLiker(NamedTuple):
    """Where a liker stands in a tweet's list: by bucket, then by `since`, both downwards."""

    bucket: int
    since: int
    user_id: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a user's list of likes or bookmarks."""

    place: Placed
    author_id: bytes
    marked_ms: int

    @property
    def tweet_id(self) -> bytes:
        """The tweet, 16 bytes."""
        return self.place.tweet_id


@dataclass(frozen=True, slots=True)
class LikeState:
    """A like as it stands in the log: everything that its rows are made of."""

    tweet_id: bytes
    author_id: bytes
    user_id: bytes
    liked: bool
    at: int
    """Its place."""
    level: int
    """How far the tweet's rows were split for whoever set it."""
    marked_ms: int
    """When it was set, in milliseconds."""

    @property
    def bucket(self) -> int:
        """Part of the tweet's likers: one while there are few, then one for each minute."""
        return self.marked_ms // _MINUTE_MS if self.level else 0

    def mark(self, before: Mark, delta: int) -> Mark:
        """The state as the user's mark. Behind the same state it began when that did."""
        if before.at and before.present == self.liked:
            return replace(before, at=self.at, delta=delta, author_id=self.author_id)
        return Mark(self.liked, self.at, delta, self.author_id, self.marked_ms, self.bucket, self.at)


class LikeSetting(NamedTuple):
    """A like that is to be stored."""

    like: LikeState
    before: Mark
    """What was read before it: behind the same state it began when that did, behind another that one's rows in lists go."""
    delta: int
    """By how much it changes the count."""


def marks_of(likes: Iterable[LikeSetting]) -> Iterator[tuple[LikeSetting, Mark]]:
    """The marks that these likes come to, but for those before which a later state was read: they are to be stored no more."""
    return ((one, one.like.mark(one.before, one.delta)) for one in likes if one.before.at <= one.like.at)


def bookmark_after(before: Mark, present: bool, author_id: bytes, now_us: int) -> Mark:
    """The next state of a bookmark. Its version is the time now, or later than the stored one; the lowest bit is the state.

    So two processes that set one bookmark at the same moment write the same cells, or have different versions.
    """
    least = max(now_us, before.at + 1)
    version = least + ((least & 1) ^ int(present))
    return Mark(present, version, 0, author_id or before.author_id, version // 1000, 0, version)


def listed_at(state: Mark | Row, since: int) -> bool:
    """Whether a row of a list, made for a state that began there, is the one that shows this state."""
    return state.present and state.since == since


def outlived(state: Mark | Row, at: int, since: int) -> bool:
    """Whether a row of a list that was written at `at` for a beginning is of no use any more. One that is newer is on its way."""
    return (state.at, state.since) > (at, since) and not listed_at(state, since)


def year_of_ms(ms: int) -> int:
    """The year of a time in UTC."""
    return datetime.datetime.fromtimestamp(min(ms, _LAST_MS) / 1000, datetime.UTC).year


def year_of(tweet_id: bytes) -> int:
    """The year of a tweet's time in UTC."""
    return year_of_ms(ms_of(tweet_id))


def list_years(user_id: bytes, after: Placed | None, now_ms: int) -> range:
    """The years of a user's lists, downwards: from this one, or that of a place, to the one before the account was made.

    Clocks differ, so both ends are taken a little further.
    """
    first = after.year if after else year_of_ms(now_ms + _MINUTE_MS)
    return range(first, min(first, year_of(user_id)) - 2, -1)


def year_begins(year: int) -> bytes:
    """The least id of a year, 16 bytes: ids of other years are below it, or at or above that of the next."""
    ms = int(datetime.datetime(year, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000)
    return uuid.UUID(int=ms << 80).bytes


_LAST_MS = int(datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC).timestamp() * 1000)
