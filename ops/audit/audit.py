"""Judges homes: reads a home and the facts behind it, and looks twice before it says that something is wrong."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ops.audit.facts import Backlog
from ops.audit.oracle import Authored, Bounds, Problem, expected_home, judge

HOME_DEPTH_MS = 30 * 24 * 3600 * 1000
# The audit's own clock and those of the services may differ by a little.
MARGIN_MS = 1000
AT_ONCE = 4


class Source(Protocol):
    """Where the facts come from: ops.audit.facts over rpcs, or a test."""

    async def backlog(self) -> Backlog:
        """How far behind the asynchronous part is."""

    async def users(self) -> dict[bytes, str]:
        """Username by id of every account."""

    async def follows(self, reader: bytes) -> dict[bytes, int]:
        """Whom a reader follows, and since when in milliseconds."""

    async def suspended(self) -> set[bytes]:
        """Accounts that nobody sees, and that read nothing."""

    async def muted(self, reader: bytes) -> set[bytes]:
        """Whom a reader mutes."""

    async def authored(self, author: bytes) -> Authored:
        """Every tweet of an author."""

    async def home(self, reader: bytes) -> list[bytes]:
        """The whole home, newest first."""


@dataclass(frozen=True)
class Report:
    """What an audit found."""

    homes: int
    entries: int
    lag_ms: int
    dead_letters: int
    problems: list[Problem]

    @property
    def clean(self) -> bool:
        """Every home is right, and nothing that would complete one was set aside."""
        return not self.problems and self.dead_letters == 0


async def audit(
    source: Source, now_ms: Callable[[], int], sample_percent: float, advance: Callable[[int], None] = lambda _: None
) -> Report:
    """Judge every home, or a sample chosen by a hash of the reader, so that the same reader is always in or out."""
    users = await source.users()
    suspended = await source.suspended()
    backlog = await source.backlog()
    chosen = [user for user in sorted(users.keys() - suspended) if in_sample(user, sample_percent)]
    authored: dict[bytes, Authored] = {}
    places = asyncio.Semaphore(AT_ONCE)

    async def one(reader: bytes) -> tuple[int, list[Problem]]:
        async with places:
            judged = await judge_reader(source, reader, users[reader], now_ms() - backlog.lag_ms, authored, suspended)
            if judged[1]:
                # People post, follow and delete while the audit reads: what is wrong must be wrong on a fresh look too.
                late, hidden = await source.backlog(), await source.suspended()
                judged = await judge_reader(source, reader, users[reader], now_ms() - late.lag_ms, {}, hidden)
        advance(1)
        return judged

    results = await asyncio.gather(*(one(reader) for reader in chosen))
    problems = [problem for _, found in results for problem in found]
    return Report(len(chosen), sum(count for count, _ in results), backlog.lag_ms, backlog.dead_letters, problems)


async def judge_reader(
    source: Source, reader: bytes, name: str, settled_ms: int, known: dict[bytes, Authored], suspended: set[bytes]
) -> tuple[int, list[Problem]]:
    """How many entries a home holds, and what is wrong with it. `known` keeps authors between readers.

    Whoever is suspended, or muted by the reader, belongs in it as little as somebody who is not followed.
    """
    home = await source.home(reader)
    hidden = suspended | await source.muted(reader)
    follows = {who: since for who, since in (await source.follows(reader)).items() if who not in hidden}
    bounds = Bounds(oldest_ms=settled_ms - HOME_DEPTH_MS + MARGIN_MS, newest_ms=settled_ms - MARGIN_MS)
    authored = await authors(source, {reader, *follows}, known)
    return len(home), judge(name, home, expected_home(reader, follows, authored, bounds))


async def authors(source: Source, wanted: set[bytes], known: dict[bytes, Authored]) -> Mapping[bytes, Authored]:
    """The tweets of each author wanted, read once an audit."""
    for author in wanted - known.keys():
        known[author] = await source.authored(author)
    return known


def in_sample(user: bytes, percent: float) -> bool:
    """Whether a user belongs to a sample of so many percent."""
    return int.from_bytes(hashlib.sha256(user).digest()[:8]) < percent / 100 * 2**64
