"""Holds every list of follows against the follows themselves, from outside; looks again before it says that something is wrong.

Where the lists come from is graph_facts.py.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ops.audit.audit import in_sample
from ops.audit.counts import AGAIN_WITHIN_S, AT_ONCE, DRAINED_WITHIN_S, LOOKS

T = TypeVar("T")

FOLLOWING, FOLLOWERS, PAGES = "list of followees", "list of followers", "follower pages"


class GraphSource(Protocol):
    """Where follows and lists come from: ops.audit.graph_facts over rpcs, or a test."""

    async def settled(self, within_s: float) -> int:
        """Wait until nothing is on its way, but not for long; how much still is."""

    async def users(self) -> dict[bytes, str]:
        """Username by id of every account."""

    async def snapshot(self, user: bytes) -> Sequence[bytes]:
        """Whom a user follows: the truth."""

    async def following_list(self, user: bytes) -> Sequence[bytes]:
        """Whom a user follows, as people see it, as often as they are listed."""

    async def followers_list(self, user: bytes) -> Sequence[bytes]:
        """Who follows a user, as people see it, as often as they are listed."""

    async def follower_pages(self, user: bytes) -> Sequence[bytes]:
        """Who follows a user, as fan-out sees it; who is in two partitions comes twice."""


@dataclass(frozen=True)
class GraphProblem:
    """One entry of a list that is missing, of no follow, or doubled."""

    kind: str
    """missing, extra or doubled."""
    where: str
    owner: bytes
    member: bytes


@dataclass(frozen=True)
class GraphReport:
    """What an audit of the follows found."""

    people: int
    follows: int
    pending: int
    """What was still on its way when the audit began, after a minute."""
    problems: Sequence[GraphProblem]
    names: Mapping[bytes, str]

    @property
    def clean(self) -> bool:
        """Every list holds the follows, each once, and nothing else."""
        return not self.problems


Lists = Mapping[tuple[str, bytes], Sequence[bytes]]


async def audit_graph(
    source: GraphSource, sample_percent: float, advance: Callable[[int], None] = lambda _: None
) -> GraphReport:
    """Judge the lists of all accounts, or of a sample that is always the same."""
    pending = await source.settled(DRAINED_WITHIN_S)
    names = await source.users()
    people = [user for user in sorted(names) if in_sample(user, sample_percent)]
    truth, lists = await _look(source, people, sorted(names), advance)
    problems = list(judge(truth, lists))
    for _ in range(LOOKS - 1):
        if not problems:
            break
        await source.settled(AGAIN_WITHIN_S)
        suspects = sorted({problem.owner for problem in problems})
        truth, lists = await _look(source, suspects, sorted(names), advance)
        again = set(judge(truth, lists))
        problems = [problem for problem in problems if problem in again]
    follows = sum(len(followees) for followees in truth.values())
    return GraphReport(len(people), follows, pending, problems, names)


def judge(truth: Mapping[bytes, frozenset[bytes]], lists: Lists) -> Iterator[GraphProblem]:
    """What is wrong with each list. Followers who are no accounts are nobody's to judge: what they follow is not known here."""
    followers: dict[bytes, set[bytes]] = {}
    for follower, followees in truth.items():
        for followee in followees:
            followers.setdefault(followee, set()).add(follower)
    for (where, owner), members in lists.items():
        right = truth[owner] if where == FOLLOWING else followers.get(owner, set())
        listed = {member for member in members if where == FOLLOWING or member in truth}
        for kind, wrong in (("missing", right - listed), ("extra", listed - right)):
            yield from (GraphProblem(kind, where, owner, member) for member in sorted(wrong))
        if where != PAGES:
            doubled = sorted(member for member, times in Counter(members).items() if times > 1)
            yield from (GraphProblem("doubled", where, owner, member) for member in doubled)


async def _look(
    source: GraphSource, people: Sequence[bytes], everybody: Sequence[bytes], advance: Callable[[int], None]
) -> tuple[dict[bytes, frozenset[bytes]], Lists]:
    places = asyncio.Semaphore(AT_ONCE)

    async def each(users: Sequence[bytes], read: Callable[[bytes], Awaitable[T]]) -> list[T]:
        async def one(user: bytes) -> T:
            async with places:
                found = await read(user)
            advance(1)
            return found

        return await asyncio.gather(*map(one, users))

    lists: dict[tuple[str, bytes], Sequence[bytes]] = {}
    reads = ((FOLLOWING, source.following_list), (FOLLOWERS, source.followers_list), (PAGES, source.follower_pages))
    for where, read in reads:
        for user, members in zip(people, await each(people, read), strict=True):
            lists[where, user] = members
    snapshots = await each(everybody, source.snapshot)
    truth = {user: frozenset(followees) for user, followees in zip(everybody, snapshots, strict=True)}
    return truth, lists


def described(report: GraphReport) -> Iterator[str]:
    """A line for each problem, with names."""
    for problem in report.problems:
        owner, member = (report.names.get(one) or str(uuid.UUID(bytes=one)) for one in (problem.owner, problem.member))
        yield f"{problem.kind}: {member} in the {problem.where} of {owner}"


def as_text(report: GraphReport) -> str:
    """One line for each problem, then one for the whole."""
    lines = list(described(report))
    if report.pending:
        lines.append(f"{report.pending} events were still on their way after a minute; `aviary ps` says who is away")
    verdict = "clean" if report.clean else f"{len(report.problems)} problems"
    lines.append(f"the lists of {report.people} accounts judged by {report.follows} follows: {verdict}")
    return "\n".join(lines)


def as_json(report: GraphReport) -> Mapping[str, object]:
    """The report for programs."""
    problems = [
        {
            "kind": p.kind,
            "where": p.where,
            "owner": str(uuid.UUID(bytes=p.owner)),
            "member": str(uuid.UUID(bytes=p.member)),
        }
        for p in report.problems
    ]
    whole = {"clean": report.clean, "accounts": report.people, "follows": report.follows}
    return {**whole, "pending": report.pending, "problems": problems}
