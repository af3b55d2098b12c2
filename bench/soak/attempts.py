"""Requests as their clients saw them, and the figures of a time in which something was away. Who asks what is traffic.py."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. What was not answered is asked again, as another attempt of the same operation."""

    operation: int
    kind: str
    """post, delete, read, follow …"""
    begun: float
    """Seconds of the monotonic clock."""
    ended: float
    error: str = ""
    """The status, or what the connection did; empty when it was answered."""


@dataclass(frozen=True)
class Figures:
    """What the clients saw of one kind of operation."""

    answered: int
    errors: dict[str, int]
    longest_span_s: float
    """From the begin of the first attempt that failed to the end of the next that anybody had an answer to, or of the last one."""
    longest_wait_s: float
    """From the first attempt of an operation to its answer: what one client waited, repeating."""
    p50_ms: float
    """Of attempts that were answered, 0 without any; so is p99."""
    p99_ms: float


def figures(attempts: Iterable[Attempt]) -> dict[str, Figures]:
    """By kind."""
    by_kind: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda attempt: attempt.ended):
        by_kind[attempt.kind].append(attempt)
    return {kind: _figures(some) for kind, some in by_kind.items()}


def longest_s(of_kinds: dict[str, Figures]) -> float:
    """The longest that anybody met nothing but errors, whatever they did."""
    return max((max(f.longest_span_s, f.longest_wait_s if f.errors else 0.0) for f in of_kinds.values()), default=0.0)


def _figures(attempts: Sequence[Attempt]) -> Figures:
    answers_ms = sorted((a.ended - a.begun) * 1000 for a in attempts if not a.error)
    return Figures(
        answered=len(answers_ms),
        errors=dict(Counter(a.error for a in attempts if a.error)),
        longest_span_s=round(_longest_span(attempts), 2),
        longest_wait_s=round(_longest_wait(attempts), 2),
        p50_ms=round(answers_ms[len(answers_ms) // 2], 1) if answers_ms else 0.0,
        p99_ms=round(answers_ms[len(answers_ms) * 99 // 100], 1) if answers_ms else 0.0,
    )


def _longest_span(attempts: Sequence[Attempt]) -> float:
    longest, since = 0.0, None
    for attempt in attempts:
        if attempt.error:
            since = attempt.begun if since is None else min(since, attempt.begun)
        elif since is not None:
            longest, since = max(longest, attempt.ended - since), None
    return longest if since is None else max(longest, attempts[-1].ended - since)


def _longest_wait(attempts: Sequence[Attempt]) -> float:
    begun: dict[int, float] = {}
    longest = 0.0
    for attempt in attempts:
        first = begun.setdefault(attempt.operation, attempt.begun)
        if not attempt.error:
            longest = max(longest, attempt.ended - first)
    return longest
