"""Which counts belong together, because they are of one tweet or of one user and are shown together. No I/O."""

from enum import Enum
from typing import NamedTuple

from svc_engage.domain.relations import Kind

Slots = tuple[int, ...]
"""Of each kind of a family in turn: its count, and up to which place of the log it goes; 0 there: the count is not known."""

NOBODY_COUNTED = 1
"""The place up to which the zero goes that is shown where nothing was ever counted. Every real place is greater."""


class Family(Enum):
    """Kinds of counts that are read together, in the order of their slots."""

    TWEET = (Kind.LIKES, Kind.RETWEETS, Kind.REPLIES, Kind.QUOTES)
    USER = (Kind.FOLLOWERS, Kind.FOLLOWING, Kind.TWEETS)


class Slot(NamedTuple):
    """Where a kind stands."""

    family: Family
    number: int


SLOT_OF = {kind: Slot(family, number) for family in Family for number, kind in enumerate(family.value)}


def unknown(family: Family) -> Slots:
    """Nothing is known."""
    return (0, 0) * len(family.value)


def is_whole(slots: Slots) -> bool:
    """Whether every count is known."""
    return 0 not in slots[1::2]


def later(one: Slots, other: Slots) -> Slots:
    """Of each kind the count that goes further."""
    merged: list[int] = []
    for n in range(0, len(one), 2):
        merged += one[n : n + 2] if one[n + 1] >= other[n + 1] else other[n : n + 2]
    return tuple(merged)
