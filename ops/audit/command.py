"""The `audit` subcommand: prints each wrong entry of a home, count or list of follows by name, and exits 1 when there is one.

What kept it from judging is exit code 2: a program that asks must not take one for the other.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping

import structlog
from rich.console import Console
from rich.progress import Progress

from ops import running
from ops.audit import graph
from ops.audit.audit import Report, audit
from ops.audit.count_facts import CountFacts
from ops.audit.counts import CountReport, audit_counts, described
from ops.audit.facts import Facts
from ops.audit.graph_facts import GraphFacts
from ops.mesh import Mesh
from ops.patience import CallFailed
from runtime.ids import SystemClock
from stack.errors import StackError

NOT_JUDGED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    judged = parser.add_mutually_exclusive_group()
    judged.add_argument("--counts", action="store_true", help="judge the counts of tweets and accounts, not the homes")
    judged.add_argument("--graph", action="store_true", help="judge the lists of follows by the follows, not the homes")
    parser.add_argument(
        "--sample", type=percentage, default=100.0, metavar="P", help="judge P percent of the homes, counts or lists"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, metavar="S", help="repeat a call that is too slow for S seconds (60)"
    )


def percentage(text: str) -> float:
    """A number above 0 and at most 100."""
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError("must be above 0 and at most 100")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Audit the running stack; 0 when everything is right, 1 when not. Raises StackError with code 2 when it cannot tell."""
    # A program reads the report at standard output, and nothing else.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        clean, text, whole = asyncio.run(judged(arguments))
    except StackError as error:
        raise StackError(error.line, detail=error.detail, code=NOT_JUDGED) from error
    except CallFailed as error:
        line = f"the audit could not read everything, nothing is judged: {error}; see `aviary ps`"
        raise StackError(line, code=NOT_JUDGED) from error
    print(json.dumps(whole) if arguments.json else text)
    return 0 if clean else 1


Advance = Callable[[int], None]
Judged = tuple[bool, str, Mapping[str, object]]
"""Whether all is right, and the report for people and for programs."""


async def judged(arguments: argparse.Namespace) -> Judged:
    """The judgement that is asked for. Raises StackError and CallFailed."""
    stack = running.load()
    if stack.http_url is None:
        raise StackError("only the servers run in this home: start the services with `aviary up`")
    judge = _counts if arguments.counts else _graph if arguments.graph else _homes
    async with Mesh(stack.environment(), "audit", arguments.patience) as mesh:
        with _progress("homes" if judge is _homes else "lists") as advance:
            return await judge(mesh, arguments.sample, advance)


async def _homes(mesh: Mesh, sample: float, advance: Advance) -> Judged:
    report = await audit(Facts(mesh), SystemClock().now_ms, sample, advance)
    return report.clean, as_text(report), as_json(report)


async def _counts(mesh: Mesh, sample: float, advance: Advance) -> Judged:
    report = await audit_counts(CountFacts(mesh), sample, advance)
    return report.clean, counts_as_text(report), counts_as_json(report)


async def _graph(mesh: Mesh, sample: float, advance: Advance) -> Judged:
    report = await graph.audit_graph(GraphFacts(mesh), sample, advance)
    return report.clean, graph.as_text(report), graph.as_json(report)


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Advance]:
    """A line on a terminal that counts what was read."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda count: progress.advance(task, count)


def as_text(report: Report) -> str:
    """One line for each problem, then one for the whole."""
    lines = [f"{p.kind}: tweet {uuid.UUID(bytes=p.tweet_id)} in the home of {p.reader}" for p in report.problems]
    if report.dead_letters:
        lines.append(f"{report.dead_letters} events were set aside in the dead-letter stream: homes may be incomplete")
    verdict = "clean" if report.clean else f"{len(report.problems)} problems"
    lines.append(
        f"{report.homes} homes with {report.entries} entries judged, fan-out lag {report.lag_ms} ms: {verdict}"
    )
    return "\n".join(lines)


def as_json(report: Report) -> Mapping[str, object]:
    """The report for programs."""
    problems = [
        {"kind": p.kind, "reader": p.reader, "tweet_id": str(uuid.UUID(bytes=p.tweet_id))} for p in report.problems
    ]
    whole = {"clean": report.clean, "homes": report.homes, "entries": report.entries, "lag_ms": report.lag_ms}
    return {**whole, "dead_letters": report.dead_letters, "problems": problems}


def counts_as_text(report: CountReport) -> str:
    """One line for each difference, then one for the whole."""
    lines = list(described(report))
    if report.dead_letters:
        lines.append(f"{report.dead_letters} events were set aside in the dead-letter stream: counts may be incomplete")
    if report.pending:
        lines.append(f"{report.pending} events were still on their way after a minute; `aviary ps` says who is away")
    verdict = "clean" if report.clean else f"{len(report.differences)} differences"
    lines.append(
        f"{report.counts} counts of {report.tweets} tweets and {report.people} accounts judged by their lists: {verdict}"
    )
    return "\n".join(lines)


def counts_as_json(report: CountReport) -> Mapping[str, object]:
    """The report for programs."""
    differences = [
        {
            "kind": d.kind,
            "subject": str(uuid.UUID(bytes=d.subject)),
            "member": str(uuid.UUID(bytes=d.member)) if d.member else None,
            "counted": d.counted,
            "listed": d.listed,
        }
        for d in report.differences
    ]
    whole = {"clean": report.clean, "tweets": report.tweets, "accounts": report.people, "counts": report.counts}
    return {**whole, "pending": report.pending, "dead_letters": report.dead_letters, "differences": differences}
