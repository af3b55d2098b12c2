"""`aviary up`: the servers and all services under one supervisor. What they are is in topology.py."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from ops import certificates, secrets
from ops.restarts import RestartPolicy
from ops.serve import Plan, detach, serve
from ops.settings import Settings
from ops.topology import Stack, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `up`."""
    parser.add_argument("--detach", action="store_true", help="return once everything is ready; `aviary down` stops it")
    parser.add_argument("--seed", action="store_true", help="then run `aviary seed`")


def run(arguments: argparse.Namespace) -> int:
    """Run in the foreground until a signal, or in the background until `down`."""
    settings = Settings.from_env(os.environ)
    seed = [sys.executable, "-m", "ops.cli", "seed"] if arguments.seed else []
    if arguments.detach:
        code = detach(["up"], settings.home, settings.home)
        return subprocess.run(seed, check=False).returncode if seed and code == 0 else code

    def make() -> Stack:
        made = certificates.make(settings.home) if settings.tls else {}
        return whole(settings, secrets.load_or_make(settings.home, os.environ), os.environ, made)

    policy = RestartPolicy(hung_s=settings.hung_s)
    serve(Plan(settings.home, settings.namespace, make, ready_lines, seed, policy, settings.log_mb))
    return 0


def ready_lines(stack: Stack) -> Sequence[str]:
    """What a person is waiting for."""
    return [f"ready: http://127.0.0.1:{stack.http_port}"]
