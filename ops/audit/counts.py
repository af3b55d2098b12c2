"""Holds every count of every tweet and account against the list of what it counts, and lists against each other.

Looks again before it says that something is wrong. Where counts and lists come from is count_facts.py.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ops.audit.audit import in_sample
from ops.audit.oracle import Authored

T = TypeVar("T")

AT_ONCE = 8
BATCH = 400
DRAINED_WITHIN_S = 60.0
AGAIN_WITHIN_S = 5.0
LOOKS = 3
"""What differs must differ at each of so many looks: people act while the audit reads, and counts follow within a second or two."""

Counts = Mapping[str, int]
"""Of one tweet or account, by the names of OF_TWEETS or OF_PEOPLE."""
Place = tuple[str, bytes]
"""The kind of a list, and whose it is."""

OF_TWEETS = ("likes", "retweets", "replies", "quotes")
"""Nothing makes the last three yet: any but 0 is wrong."""
OF_PEOPLE = ("followers", "following", "tweets")
MIRRORS = {"likes": "liked", "liked": "likes", "followers": "following", "following": "followers"}
"""Who stands in a list of the one kind has its owner in the own list of the other kind."""


class CountSource(Protocol):
    """Where counts and lists come from: ops.audit.count_facts over rpcs, or a test."""

    async def settled(self, within_s: float) -> int:
        """Wait until nothing is on its way, but not for long; how much still is."""

    async def dead_letters(self) -> int:
        """Events that were set aside, of all services."""

    async def users(self) -> dict[bytes, str]:
        """Username by id of every account."""

    async def authored(self, author: bytes) -> Authored:
        """Every tweet of an author."""

    async def tweet_counts(self, tweets: Sequence[bytes]) -> dict[bytes, Counts]:
        """The counts of at most 400 tweets."""

    async def user_counts(self, users: Sequence[bytes]) -> dict[bytes, Counts]:
        """The counts of at most 400 accounts."""

    async def likers(self, tweet: bytes) -> Sequence[bytes]:
        """Who likes a tweet."""

    async def liked(self, user: bytes) -> Sequence[bytes]:
        """What a user likes."""

    async def followers(self, user: bytes) -> Sequence[bytes]:
        """Who follows a user."""

    async def following(self, user: bytes) -> Sequence[bytes]:
        """Whom a user follows."""


@dataclass(frozen=True)
class Difference:
    """A count that is not that of its list, or, with a `member`, a member that stands in one list and not in its mirror."""

    kind: str
    subject: bytes
    member: bytes = b""
    counted: int = 0
    listed: int = 0

    @property
    def about(self) -> tuple[str, bytes, bytes]:
        """What differs, whatever the numbers are."""
        return self.kind, self.subject, self.member


@dataclass
class Look:
    """What was read at about one time."""

    counts: dict[bytes, tuple[Counts, Counts]] = field(default_factory=dict)
    """Before and after the lists were read."""
    lists: dict[Place, Sequence[bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class CountReport:
    """What an audit of the counts found."""

    tweets: int
    people: int
    counts: int
    pending: int
    """What was still on its way when the audit began, after a minute."""
    dead_letters: int
    differences: Sequence[Difference]
    names: Mapping[bytes, str]

    @property
    def clean(self) -> bool:
        """Every count is right, lists agree, and nothing that would change one was set aside."""
        return not self.differences and self.dead_letters == 0


async def audit_counts(
    source: CountSource, sample_percent: float, advance: Callable[[int], None] = lambda _: None
) -> CountReport:
    """Judge all counts, or those of a sample of tweets and accounts that is always the same."""
    pending = await source.settled(DRAINED_WITHIN_S)
    names = await source.users()
    reader = Reader(source, advance)
    authored = await reader.each(sorted(names), source.authored)
    people = [user for user in names if in_sample(user, sample_percent)]
    tweets = [t for each in authored.values() for t in each.tweet_ids if in_sample(t, sample_percent)]
    look = await reader.look(people, tweets)
    differences = list(judge(look))
    for _ in range(LOOKS - 1):
        if not differences:
            break
        await source.settled(AGAIN_WITHIN_S)
        known, suspects = set(tweets), {key for d in differences for key in (d.subject, d.member) if key}
        again = await reader.look(sorted(suspects & set(people)), sorted(suspects & known))
        still = {difference.about for difference in differences}
        differences = [difference for difference in judge(again) if difference.about in still]
    counted = len(OF_TWEETS) * len(tweets) + len(OF_PEOPLE) * len(people)
    dead_letters = await source.dead_letters()
    return CountReport(len(tweets), len(people), counted, pending, dead_letters, differences, names)


class Reader:
    """Reads lists and counts, a few at once."""

    def __init__(self, source: CountSource, advance: Callable[[int], None]) -> None:
        self._source = source
        self._advance = advance
        self._places = asyncio.Semaphore(AT_ONCE)

    async def look(self, people: Sequence[bytes], tweets: Sequence[bytes]) -> Look:
        """All counts and lists of some accounts and tweets."""
        look, source = Look(), self._source
        before = await self._counts(people, tweets)
        for kind, subjects, read in (
            ("likes", tweets, source.likers),
            ("liked", people, source.liked),
            ("followers", people, source.followers),
            ("following", people, source.following),
            ("tweets", people, self._tweets),
        ):
            found = await self.each(subjects, read)
            look.lists |= {(kind, subject): members for subject, members in found.items()}
        after = await self._counts(people, tweets)
        look.counts = {subject: (before[subject], after[subject]) for subject in before}
        return look

    async def each(self, subjects: Sequence[bytes], read: Callable[[bytes], Awaitable[T]]) -> dict[bytes, T]:
        """What `read` says of each."""

        async def one(subject: bytes) -> T:
            async with self._places:
                found = await read(subject)
            self._advance(1)
            return found

        return dict(zip(subjects, await asyncio.gather(*map(one, subjects)), strict=True))

    async def _tweets(self, author: bytes) -> Sequence[bytes]:
        authored = await self._source.authored(author)
        return [tweet for tweet in authored.tweet_ids if tweet not in authored.deleted]

    async def _counts(self, people: Sequence[bytes], tweets: Sequence[bytes]) -> dict[bytes, Counts]:
        found: dict[bytes, Counts] = {}
        for some, read in ((people, self._source.user_counts), (tweets, self._source.tweet_counts)):
            for first in range(0, len(some), BATCH):
                found |= await read(some[first : first + BATCH])
        return found


def judge(look: Look) -> Iterator[Difference]:
    """Each difference of a look. A count that moved while its list was read may be anything between its two values."""
    for subject, (before, after) in look.counts.items():
        for kind, counted in after.items():
            listed = len(look.lists.get((kind, subject), ()))
            if not min(before[kind], counted) <= listed <= max(before[kind], counted):
                yield Difference(kind, subject, counted=counted, listed=listed)
    members = {place: frozenset(found) for place, found in look.lists.items()}
    for (kind, subject), found in members.items():
        mirror = MIRRORS.get(kind, "")
        for member in sorted(found):
            if subject not in members.get((mirror, member), (subject,)):
                yield Difference(kind, subject, member)


def described(report: CountReport) -> Iterator[str]:
    """A line for each difference, with names."""
    for difference in report.differences:
        whose = _called(report.names, difference.subject)
        if difference.member:
            who, mirror = _called(report.names, difference.member), MIRRORS[difference.kind]
            yield f"{difference.kind} of {whose}: {who} is listed, but {whose} is not in {mirror} of {who}"
        else:
            yield f"{difference.kind} of {whose}: {difference.counted} counted, {difference.listed} listed"


def _called(names: Mapping[bytes, str], key: bytes) -> str:
    return names.get(key) or f"tweet {uuid.UUID(bytes=key)}"
