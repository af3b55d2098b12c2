"""What a home must and may hold, computed from follows and tweets alone, and how a home differs from it; no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runtime.ids import ms_of

BACKFILL = 50
SETTLED_AFTER_FOLLOW_MS = 10_000


@dataclass(frozen=True)
class Authored:
    """All tweets of one author, oldest first; the deleted ones are named too, they took a place in a backfill."""

    tweet_ids: Sequence[bytes]
    deleted: frozenset[bytes]


@dataclass(frozen=True)
class Bounds:
    """Between which times a home is judged, in milliseconds since 1970."""

    oldest_ms: int
    """Now less HOME_DEPTH: what is older may be gone."""
    newest_ms: int
    """Now less the published fan-out lag: what is newer may not have arrived."""


@dataclass(frozen=True)
class Expected:
    """The tweets that a home must hold, and all that it may hold."""

    must: frozenset[bytes]
    may: frozenset[bytes]


@dataclass(frozen=True)
class Problem:
    """One difference between a home and the oracle."""

    kind: str
    """missing, doubled, foreign or misordered."""
    reader: str
    tweet_id: bytes


def expected_home(
    reader: bytes,
    follows: Mapping[bytes, int],
    authored: Mapping[bytes, Authored],
    bounds: Bounds,
    settled_after_follow_ms: int = SETTLED_AFTER_FOLLOW_MS,
) -> Expected:
    """The oracle: `follows` maps each followee of the reader to the time of the latest follow, in milliseconds.

    Eligible are originals by the reader or a followee that are not deleted. A followee's tweet must be there when it came at
    least 10 s after the follow, or was among the 50 newest at the follow; one in between may be. Whoever looks at a system at
    rest, where every backfill found all, asks for less than the 10 s.
    """
    must: set[bytes] = set()
    may: set[bytes] = set()
    for author in {reader, *follows}:
        tweets = authored.get(author, Authored((), frozenset()))
        eligible = [t for t in tweets.tweet_ids if t not in tweets.deleted]
        may.update(eligible)
        certain = eligible if author == reader else _certain(tweets, follows[author], settled_after_follow_ms)
        must.update(t for t in certain if t not in tweets.deleted and bounds.oldest_ms <= ms_of(t) <= bounds.newest_ms)
    return Expected(frozenset(must), frozenset(may))


def judge(reader: str, home: Sequence[bytes], expected: Expected) -> list[Problem]:
    """Each missing, doubled, foreign or misordered entry of a home, by name; empty for a home that is right."""
    problems = [Problem("doubled", reader, t) for t in _repeated(home)]
    problems += [Problem("foreign", reader, t) for t in dict.fromkeys(home) if t not in expected.may]
    problems += [Problem("missing", reader, t) for t in sorted(expected.must - set(home), reverse=True)]
    problems += [Problem("misordered", reader, t) for t in _misordered(home)]
    return problems


def _certain(tweets: Authored, followed_ms: int, settled_after_ms: int) -> list[bytes]:
    before = [t for t in tweets.tweet_ids if ms_of(t) < followed_ms]
    after = [t for t in tweets.tweet_ids if ms_of(t) >= followed_ms + settled_after_ms]
    return before[-BACKFILL:] + after


def _repeated(home: Iterable[bytes]) -> list[bytes]:
    seen: set[bytes] = set()
    repeated: dict[bytes, None] = {}
    for tweet in home:
        if tweet in seen:
            repeated[tweet] = None
        seen.add(tweet)
    return list(repeated)


def _misordered(home: Sequence[bytes]) -> list[bytes]:
    """Entries that stand after an older one. Doubled ones are named as such, not here."""
    unique = list(dict.fromkeys(home))
    least = b"\xff" * 16
    wrong = []
    for tweet in unique:
        if tweet > least:
            wrong.append(tweet)
        least = min(least, tweet)
    return wrong
