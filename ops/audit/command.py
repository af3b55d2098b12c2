"""The `audit` subcommand: prints each wrong entry by name and exits 1 when there is one."""

import argparse
import asyncio
import json
import sys
import uuid

from grpc import aio
from rich.console import Console
from rich.progress import Progress

from ops import running
from ops.audit.audit import Report, audit
from ops.audit.facts import Facts
from ops.mesh import Mesh
from runtime.errors import from_rpc
from runtime.ids import SystemClock
from stack.errors import StackError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--sample", type=percentage, default=100.0, metavar="P", help="judge P percent of the homes")


def percentage(text: str) -> float:
    """A number above 0 and at most 100."""
    value = float(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError("must be above 0 and at most 100")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Audit the running stack; 0 when every home is right, 1 when not."""
    stack = running.load()
    if stack.http_url is None:
        raise StackError("only the servers run in this home: start the services with `aviary up`")
    try:
        report = asyncio.run(_audit(stack.environment(), arguments.sample))
    except aio.AioRpcError as error:
        failure = from_rpc(error)
        raise StackError(
            f"the audit could not read everything ({failure.reason}: {failure.detail}); see `aviary ps`"
        ) from error
    print(as_json(report) if arguments.json else as_text(report))
    return 0 if report.clean else 1


async def _audit(environment: dict[str, str], sample: float) -> Report:
    console = Console(file=sys.stderr)
    async with Mesh(environment, "audit") as mesh:
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("homes", total=None)
            return await audit(Facts(mesh), SystemClock().now_ms, sample, lambda n: progress.advance(task, n))


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


def as_json(report: Report) -> str:
    """The report for programs."""
    problems = [
        {"kind": p.kind, "reader": p.reader, "tweet_id": str(uuid.UUID(bytes=p.tweet_id))} for p in report.problems
    ]
    whole = {"clean": report.clean, "homes": report.homes, "entries": report.entries, "lag_ms": report.lag_ms}
    return json.dumps({**whole, "dead_letters": report.dead_letters, "problems": problems})
