"""The `seed` subcommand: progress on the terminal, the demo account, and the lines to try next."""

import argparse
import asyncio
import sys

from aviary.user.v1 import reason_pb2, user_pb2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ops import running
from ops.mesh import Mesh
from ops.patience import CallFailed
from ops.running import Running
from ops.seed import dataset
from ops.seed.checkpoint import Checkpoint
from ops.seed.importer import Imported, import_dataset
from runtime.errors import from_rpc, named
from stack.errors import StackError

PATIENCE_S = 60.0
DEMO_USERNAME = "demo"
DEMO_PASSWORD = "an-aviary-to-try"
DEMO_EMAIL = "demo@aviary.example"


class Bars:
    """Progress bars on a terminal; one line a step elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(file=sys.stderr)
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task: TaskID | None = None

    def start(self, what: str, total: int) -> None:
        """A step begins."""
        if self._progress.disable:
            print(f"seed: {total} {what}", file=sys.stderr, flush=True)
        self._progress.start()
        self._task = self._progress.add_task(what, total=total)

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument(
        "--all", action="store_true", help="every tweet of the data set, not the 33 newest of each author"
    )


def run(arguments: argparse.Namespace) -> int:
    """Import what is missing and say how to look at it."""
    stack = running.load()
    if stack.http_url is None:
        raise StackError("only the servers run in this home: start the services with `aviary up`")
    bars = Bars()
    try:
        imported = asyncio.run(seed(stack, arguments.all, bars))
    except CallFailed as error:
        raise StackError(f"seeding stopped: {error}; run `aviary seed` again, it goes on") from error
    finally:
        bars.stop()
    print(summary(imported, stack.http_url), flush=True)
    return 0


async def seed(stack: Running, everything: bool, bars: Bars) -> Imported:
    """Import the data set into a running stack."""
    data = dataset.load(everything)
    async with Mesh(stack.environment(), "seed", PATIENCE_S) as mesh:
        demo_id = await demo_account(mesh)
        checkpoint = Checkpoint.of(stack.home, stack.namespace, demo_id, data)
        return await import_dataset(mesh, data, demo_id, bars, checkpoint)


async def demo_account(mesh: Mesh) -> bytes:
    """The id of the demo account, which is registered like anybody's when it is not there."""
    request = user_pb2.RegisterRequest(
        username=DEMO_USERNAME, email=DEMO_EMAIL, password=DEMO_PASSWORD, display_name="A reader to try"
    )
    try:
        await mesh.users.Register(request)
    except CallFailed as error:
        if from_rpc(error).reason != named(reason_pb2.Reason, reason_pb2.REASON_USERNAME_TAKEN):
            raise
    names = user_pb2.ResolveUsernamesRequest(usernames=[DEMO_USERNAME])
    found = await mesh.users.ResolveUsernames(names)
    user_id: bytes = found.users[0].user_id
    return user_id


def summary(imported: Imported, url: str) -> str:
    """What is there now, and three lines for a shell."""
    login = f'{{"login":"{DEMO_USERNAME}","password":"{DEMO_PASSWORD}"}}'
    json = "-H 'Content-Type: application/json'"
    return f"""
{imported.accounts} accounts, {imported.follows_made} new follows, {imported.tweets} tweets at {url} (documentation: {url}/docs)
login: {DEMO_USERNAME} / {DEMO_PASSWORD}

TOKEN=$(curl -s {url}/api/v1/auth/login {json} -d '{login}' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
curl -s "{url}/api/v1/timeline/home?limit=5" -H "Authorization: Bearer $TOKEN"
curl -s {url}/api/v1/tweets {json} -H "Authorization: Bearer $TOKEN" -d '{{"content":"hello from curl"}}'
"""
