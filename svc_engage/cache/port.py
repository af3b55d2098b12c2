"""What is remembered of counts, marks and interactions for fast reads, as the rest of the service sees it; where it is kept is not here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from svc_engage.domain.families import Family, Slots
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.overlay import NOTHING_RECENT, Both, OwnRecent
from svc_engage.domain.relations import Count, Subject

MARKS_KEPT = 2_000
"""How many of a user's newest marked tweets are remembered at least."""

MARKS_MOST = 2_500
"""How many at most: then the oldest are forgotten."""

AUTHORS_KEPT = 200
"""With how many authors a user's interactions are remembered."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What is remembered of a user's marks."""

    floor: bytes | None = None
    """Of tweets whose id is at or above this one every mark is here; None: marks may be missing anywhere."""
    states: Mapping[bytes, Both] = field(default_factory=dict)
    """Of those tweets that were asked for."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What is remembered of some tweets or users, and of the viewer."""

    counts: Sequence[Slots | None]
    """In the order in which they were asked for; None where nothing is remembered."""
    marks: Marks = Marks()
    recent: OwnRecent = NOTHING_RECENT


class Interactions(NamedTuple):
    """How often a user engaged with authors, as numbers that all shrink with time."""

    base_ms: int
    """At which time the weights are what they say; each is half of that after 30 days."""
    weights: Mapping[bytes, float]


class CountCache(Protocol):
    """The fast copy. All of it may vanish at any time; what is not here is asked of the store.

    Whatever raises Unavailable may have been done, now or a little later.
    """

    async def put(self, counts: Mapping[Subject, Count]) -> None:
        """Remember what the counting owner wrote. A count that goes further stays; one that goes as far is replaced.

        Raises Unavailable; some may be remembered then.
        """

    async def look(self, family: Family, viewer_id: bytes, ids: Sequence[bytes]) -> Glance:
        """Counts of different tweets or users; of a viewer who is not empty what they did lately and, for tweets, their marks.

        Of what they did lately with tweets it may leave out what is about others than these.
        One round trip for up to 400. Raises Unavailable.
        """

    async def recent_likes(self, user_id: bytes) -> Mapping[bytes, int]:
        """By tweet, at which place the user's like got its state, of those that were set in the last minute. Raises Unavailable."""

    async def reserve(self, family: Family, ids: Sequence[bytes]) -> list[bytes]:
        """Before counts are read from the store: make room for them. Answers a token for each, in their order.

        It stays the same for as long as nothing is forgotten of this tweet or user. Raises Unavailable.
        """

    async def fill(self, family: Family, counts: Mapping[bytes, tuple[bytes, Slots]]) -> None:
        """Remember what the store said, by id with the token of `reserve`. A count that goes as far or further stays.

        Where the token is another by now nothing is remembered: what the owner put after the store was read may be
        forgotten, and what was read would stay for long. Raises Unavailable.
        """

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        """Remember a state that the store has acknowledged. A later one stays. Never fails.

        A like counts as an interaction, too. When it cannot be remembered, all marks of the user are forgotten as soon as
        the cache can be reached, so that they are read from the store again.
        """

    async def begin_marks(self, user_id: bytes, token: bytes) -> None:
        """Before marks are read from the store. Raises Unavailable."""

    async def fill_marks(self, user_id: bytes, token: bytes, states: Mapping[bytes, Both], floor: bytes) -> bool:
        """Remember the newest marks of the store, complete from the tweet `floor` on. Later states stay.

        False, and nothing is remembered, when something was forgotten since `begin_marks` or another began. Raises Unavailable.
        """

    async def interactions(self, user_id: bytes) -> Interactions | None:
        """With whom the user engaged; None when it is not remembered. Raises Unavailable."""

    async def begin_interactions(self, user_id: bytes, token: bytes) -> None:
        """Before they are read from the store. Raises Unavailable."""

    async def fill_interactions(self, user_id: bytes, token: bytes, known: Interactions) -> None:
        """Remember them, at most 200, unless the user engaged with somebody since they began to be read. Raises Unavailable."""
