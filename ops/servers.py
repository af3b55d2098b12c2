"""`aviary stack up|down|ps`: only the servers, in a home of their own beside that of the whole stack."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ops import down, ps
from ops.restarts import RestartPolicy
from ops.serve import Plan, detach, serve
from ops.settings import Settings
from ops.topology import Stack, servers_only


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `stack`."""
    parser.add_argument("action", choices=("up", "down", "ps"))
    parser.add_argument("--detach", action="store_true", help="with up: return once the servers are ready")
    parser.add_argument("--json", action="store_true", help="with ps: for programs")


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    settings = Settings.from_env(os.environ)
    home = servers_home(settings.home)
    if arguments.action == "down":
        return down.stop(home)
    if arguments.action == "ps":
        return ps.show(home, as_json=arguments.json)
    if arguments.detach:
        return detach(["stack", "up"], settings.home, home)

    def make() -> Stack:
        return servers_only(settings, home, os.environ)

    policy = RestartPolicy(hung_s=settings.hung_s)
    serve(Plan(home, settings.namespace, make, ready_lines, policy=policy, log_mb=settings.log_mb))
    return 0


def servers_home(base: Path) -> Path:
    """Where they keep their state: apart, so that `aviary up` with their addresses can run beside them."""
    return base / "stack"


def ready_lines(stack: Stack) -> Sequence[str]:
    """The addresses as lines for a shell; `aviary up` started with them starts no servers of its own."""
    return [f"export {name}={shlex.quote(value)}" for name, value in stack.addresses.items()]
