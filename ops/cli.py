"""The `aviary` command: a table of subcommands. What each does lives in its own module."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from stack.errors import StackError


class CommandModule(Protocol):
    """What the module of a subcommand offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the subcommand's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; the result is the exit code. A StackError is printed as one line; it has an exit code."""


@dataclass(frozen=True)
class Command:
    """One subcommand: its name, the module that does it and its line of help."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Command("up", "ops.up", "start the servers and all services, and watch over them"),
    Command("down", "ops.down", "stop what `up` started"),
    Command("ps", "ops.ps", "list the processes of a running stack"),
    Command("logs", "ops.logs.command", "show the logs of all units, in the order of time"),
    Command("seed", "ops.seed.command", "bring real accounts, follows and tweets into a running stack"),
    Command("audit", "ops.audit.command", "hold every home against follows and tweets, and name what is wrong"),
    Command("admin", "ops.admin.command", "make accounts with a role; suspend, limit or verify others"),
    Command("dlq", "ops.dlq.command", "look at what consumers set aside, and hand it back to them"),
    Command("stack", "ops.servers", "only the servers: Cassandra, Redis, NATS"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the result is the exit code of the process."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="aviary", description="Runs and inspects Aviary on one machine.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {}
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.summary, description=command.summary)
        # Only the chosen module is loaded: `aviary ps` need not wait for what `aviary up` imports.
        if command.name in words[:1]:
            modules[command.name] = cast(CommandModule, importlib.import_module(command.module))
            modules[command.name].add_arguments(subparser)
    arguments = parser.parse_args(words)
    try:
        return modules[arguments.command].run(arguments)
    except StackError as error:
        print_error(error)
        return error.code
    except KeyboardInterrupt:
        return 130


def print_error(error: StackError) -> None:
    """The detail first and the one clear line last, where it is seen."""
    if error.detail:
        print(error.detail, file=sys.stderr)
    print(f"aviary: {error.line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
