"""`aviary logs`: the logs of all units in one place and in the order of time, of a stack that runs or ran."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ops.logs.files import Tail, Wanted, latest
from ops.logs.lines import LEVELS, Entry
from ops.settings import home_folder
from stack.errors import StackError

_USUAL_LINES = 100
_LOOK_EVERY_S = 0.2
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `logs`."""
    parser.add_argument("-u", "--unit", action="append", help="only this process or server; may be repeated")
    parser.add_argument("-n", "--lines", type=int, help=f"so many entries (default {_USUAL_LINES}; with --since all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on showing what is added")
    parser.add_argument(
        "--since", metavar="TIME", help="30s, 10m, 2h, 1d ago, or a time such as 2026-05-01T12:00 (UTC)"
    )
    parser.add_argument("--level", choices=sorted(LEVELS, key=LEVELS.__getitem__), help="only this level and worse")


def run(arguments: argparse.Namespace) -> int:
    """Print what was logged; with --follow until interrupted."""
    folder = home_folder() / "logs"
    since = since_when(arguments.since, time.time()) if arguments.since else 0.0
    count = arguments.lines if arguments.lines is not None else None if arguments.since else _USUAL_LINES
    least = LEVELS[arguments.level or "debug"]

    def wanted(entry: Entry) -> bool:
        return entry.level >= least

    logs = find(folder, arguments.unit)
    try:
        if not arguments.follow:
            show(latest(dict.fromkeys(logs), wanted, count, since))
            return 0
        tails = {log: Tail.at_end(log) for log in logs}
        show(latest({log: tail.position for log, tail in tails.items()}, wanted, count, since))
        follow(folder, arguments.unit, tails, wanted)
    except BrokenPipeError:
        # Whoever read us has enough (`| head`); nothing must be flushed to nobody at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def find(folder: Path, units: Sequence[str] | None) -> list[Path]:
    """The logs of the units, or all. Raises StackError when there is none of such a name, or none at all."""
    logs = sorted(folder.glob("*.log"), key=lambda log: log.stem)
    if not logs:
        raise StackError(f"there are no logs in {folder}: start something with `aviary up`, or set AVIARY_HOME")
    names = [log.stem for log in logs]
    unknown = [unit for unit in units or () if unit not in names]
    if unknown:
        raise StackError(f"no log of {', '.join(unknown)} in {folder}: there are {', '.join(names)}")
    return [log for log in logs if not units or log.stem in units]


def since_when(text: str, now: float) -> float:
    """Epoch seconds of `10m` (ago) or of a time in ISO 8601, UTC unless it says otherwise. Raises StackError for others."""
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago is not None:
        return now - int(ago[1]) * _UNITS_S[ago[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise StackError(f"--since {text} is no time: write 30s, 10m, 2h or 1d, or 2026-05-01T12:00") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def show(entries: Sequence[Entry]) -> None:
    """Print entries."""
    for entry in entries:
        print(entry.shown())
    sys.stdout.flush()


def follow(folder: Path, units: Sequence[str] | None, tails: dict[Path, Tail], wanted: Wanted) -> None:
    """Print what is added, also to logs that appear meanwhile; each look's entries in the order of time."""
    while True:
        for log in folder.glob("*.log"):
            if log not in tails and (not units or log.stem in units):
                tails[log] = Tail(log)
        added = [entry for tail in tails.values() for entry in tail.added() if wanted(entry)]
        show(sorted(added, key=lambda entry: entry.at))
        time.sleep(_LOOK_EVERY_S)
