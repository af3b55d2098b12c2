"""An event loop in virtual time: no sockets, no threads, no clock of the machine. What crashes and what is slow is others' matter."""

import asyncio
import contextlib
import contextvars
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_CLOSES = 20
"""How often a coroutine that ignores its end is told again; each `await` in a `finally` costs one."""
_SWEEP = 200
"""Tasks that are begun until those that have ended are let go."""


class Life:
    """The life of one simulated process: once it has ended, nothing that the process had begun goes on."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)
"""Whose work the running code is; every task and callback inherits it. None: nobody's, it cannot be killed."""


NOBODY = contextvars.Context()
"""What servers and the network do is done by no process, and goes on when one dies."""


class Step(list[Any]):
    """A callback that waits for its turn or its time: [time, number, callback, arguments, context].

    A list, because the heap compares lists without calling anything of ours; the number comes before what cannot be compared.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Never call back."""
        self[2] = None

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self[2] is None

    def when(self) -> float:
        """Its time."""
        at: float = self[0]
        return at


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs what is ready in the order in which asyncio promises to, and then jumps to the next timer.

    Nothing is random here: what may come in any order is given a random delay by whoever sends it. A life that is over is
    a process killed with SIGKILL: its callbacks are dropped, no `finally` and no `except` of it runs.
    """

    def __init__(self) -> None:
        self.now = 0.0
        """Virtual seconds since the start."""
        self._ready: deque[Step] = deque()
        self._timers: list[Step] = []
        self._next_number = itertools.count().__next__
        # Those that have not ended, and some that have: collected before the end, tasks of a killed process would run their `finally`.
        self._tasks: list[asyncio.Task[Any]] = []
        self._swept_at = _SWEEP
        self._closed = False

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to the end of `main`, then let go of everything else. Raises what `main` raises, and RuntimeError when all sleep for ever."""
        events._set_running_loop(self)
        try:
            task = self.create_task(main)
            self._run_until(task)
            result: T = task.result()
            return result
        finally:
            self._let_go()
            events._set_running_loop(None)
            self._closed = True

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now

    def call_soon(  # type: ignore[override]  # a lighter handle than asyncio's
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Step:
        """Call in turn."""
        step = Step((0.0, 0, callback, args, contextvars.copy_context() if context is None else context))
        self._ready.append(step)
        return step

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Step:
        """Call after some seconds."""
        at, number = self.now + delay, self._next_number()
        step = Step((at, number, callback, args, contextvars.copy_context() if context is None else context))
        heapq.heappush(self._timers, step)
        return step

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Step:
        """Call at a time; two of the same time in the order of asking."""
        number = self._next_number()
        step = Step((when, number, callback, args, contextvars.copy_context() if context is None else context))
        heapq.heappush(self._timers, step)
        return step

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[Any]":
        """A task of this loop; it starts in turn."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        tasks = self._tasks
        tasks.append(task)
        if len(tasks) >= self._swept_at:
            tasks[:] = [each for each in tasks if not each.done()]
            self._swept_at = 2 * len(tasks) + _SWEEP
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Failures that nobody waits for belong to killed processes; those of others are watched by who started them."""

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Until it is closed."""
        return not self._closed

    def is_closed(self) -> bool:
        """After `run`."""
        return self._closed

    def _run_until(self, end: "asyncio.Task[Any]") -> None:
        ready, timers, pop, life_of = self._ready, self._timers, heapq.heappop, LIFE
        while not end.done():
            while ready:
                _, _, callback, args, context = ready.popleft()
                if callback is not None and ((life := context.get(life_of)) is None or not life.over):
                    context.run(callback, *args)
            while timers:
                step = pop(timers)
                self.now = step[0]
                if step[2] is not None:
                    ready.append(step)
                    break
            else:
                if not end.done():
                    raise RuntimeError("everything waits for something that never comes")

    def _let_go(self) -> None:
        """Close what has not ended, also what will not hear of it; nothing of it counts any more."""
        for task in self._tasks:
            if task.done():
                continue
            coroutine: Any = task.get_coro()
            for _ in range(_CLOSES):
                with contextlib.suppress(Exception):
                    coroutine.close()
                    break
            # The task is told as well, or it would report that it was destroyed while it waited.
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()


def pause(seconds: float) -> "asyncio.Future[None]":
    """Await it to sleep; less work than asyncio.sleep."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = asyncio.Future(loop=loop)
    loop.call_later(seconds, _wake, future, context=NOBODY)
    return future


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
