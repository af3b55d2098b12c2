"""`aviary logs`: the ends of the log files of a stack, running or not."""

import argparse
import sys
import time
from pathlib import Path
from typing import TextIO

from ops.settings import home_folder
from stack.errors import StackError
from stack.process import log_tail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `logs`."""
    parser.add_argument("name", nargs="?", help="one process; default: all")
    parser.add_argument("-n", "--lines", type=int, default=20, help="how many lines of each (default 20)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on showing what is added")


def run(arguments: argparse.Namespace) -> int:
    """Print the tails; with --follow until interrupted."""
    logs = find(home_folder() / "logs", arguments.name)
    for log in logs:
        print(f"== {log.stem} ({log})\n{log_tail(log, arguments.lines)}")
    if arguments.follow:
        follow(logs)
    return 0


def find(folder: Path, name: str | None) -> list[Path]:
    """The log of one process, or all. Raises StackError when there is none of that name."""
    logs = sorted(folder.glob("*.log"))
    if name is None:
        return logs
    chosen = [log for log in logs if log.stem == name]
    if not chosen:
        raise StackError(f"no log of {name!r} in {folder}: there are {', '.join(log.stem for log in logs) or 'none'}")
    return chosen


def follow(logs: list[Path]) -> None:
    """Print what is added to the logs, each line after its process's name."""
    files: list[tuple[str, TextIO]] = []
    for log in logs:
        files.append((log.stem, log.open(encoding="utf-8", errors="replace")))
        files[-1][1].seek(0, 2)
    while True:
        for name, opened in files:
            for line in opened:
                sys.stdout.write(f"{name}: {line}")
        sys.stdout.flush()
        time.sleep(0.2)
