"""Promises 1, 2, 5, 7 and 9 hold whichever process dies or hangs, at whichever point of whichever operation."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.chaos.cast import Cast
from tests.chaos.cells import ITSELF, PROCESSES, Cell, cells, own
from tests.chaos.operations import OPERATIONS
from tests.e2e.aviary import Aviary, until

SEEN_BY_OTHERS = 2
"""How often each list is read while a process hangs."""
SEEN_BY_THE_ACTOR = 4
"""Answers while a process hangs to who acts, unless that needs fewer."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    some = cells(full=metafunc.config.getoption("--full-matrix"))
    metafunc.parametrize("cell", some, ids=str)


async def test_nothing_is_lost_doubled_or_unanswered_and_all_recovers(
    cell: Cell, aviary: Aviary, cast: Cast, record_property: Callable[[str, object], None]
) -> None:
    """While the operation is at the point the victim is lost; the client repeats until answered, others go on reading.

    Promise 1: what was answered is in the author's timeline, in every follower's home and on the stream. 2: the audit agrees, and no
    read in between missed or doubled anything. 5: the actor sees the own write in the next answer. 7: the repetition has one
    effect. 9: everybody gets an answer, 503 and 504 at worst, and all recovers without help.
    """
    found: dict[str, object] = {
        "operation": cell.operation,
        "point": cell.point,
        "victim": cell.victim,
        "how": cell.how,
    }
    record_property("cell", found)
    operation = OPERATIONS[cell.operation]()
    async with cast.watching(edge_may_die=cell.victim == "edge" and cell.how == "kill"):
        await operation.prepare(cast)
        loss = Loss(aviary, cast, cell)
        loss.arm()
        async with asyncio.TaskGroup() as group:
            group.create_task(loss.passed())
            group.create_task(operation.act(cast, loss.seen_by_the_actor))
        await aviary.settle()
        found |= {"away_s": round(loss.away_s, 1), "client_errors": dict(cast.refused + cast.bystander.errors())}
        await operation.after(cast)
        await cast.all_is_right()


class Loss:
    """The loss of a process at a point, and its return."""

    def __init__(self, aviary: Aviary, cast: Cast, cell: Cell) -> None:
        self._aviary = aviary
        self._cast = cast
        self._cell = cell
        self._pids = {name: aviary.process(name) for name in PROCESSES}
        self._fired, self._nothing_more = asyncio.Event(), asyncio.Event()
        self.away_s = 0.0

    def arm(self) -> None:
        """Let it happen at the next pass of the point."""
        victim = self._cell.victim
        if victim == ITSELF or victim in own(self._cell.point):
            self._aviary.arm(self._cell.point)
        else:
            command = "kill" if self._cell.how == "kill" else "stop"
            self._aviary.arm(self._cell.point, f"{command} {self._pids[victim]}")

    async def seen_by_the_actor(self) -> None:
        """Whoever acts has nothing more to do but to wait until the point was passed."""
        self._nothing_more.set()
        await self._fired.wait()

    async def passed(self) -> None:
        """Returns when it has happened and all runs again."""
        await self._aviary.fired(self._cell.point)
        began, answers = time.monotonic(), self._cast.answers
        self._fired.set()
        if self._cell.how == "hang":
            await self._cast.bystander.answered(SEEN_BY_OTHERS)
            enough = answers + SEEN_BY_THE_ACTOR
            await until(lambda: self._cast.answers >= enough or self._nothing_more.is_set(), "the actor has no answer")
            # Gone only when the supervisor has taken it for dead meanwhile and started another.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pids[self._cell.victim], signal.SIGCONT)
        else:
            await until(self._another_runs, f"{self._cell.victim} did not come back")
        await self._aviary.ready()
        self.away_s = time.monotonic() - began

    def _another_runs(self) -> bool:
        """Whether a process has another pid, that of the victim if it is named, and everything is ready."""
        records = {name: self._aviary.running.process(name) for name in PROCESSES}
        changed = {name for name, record in records.items() if record.pid not in (None, self._pids[name])}
        expected = changed if self._cell.victim == ITSELF else changed & {self._cell.victim}
        return bool(expected) and all(record.state == "ready" for record in records.values())
