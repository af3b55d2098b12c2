"""Gathering: what several callers ask, or want done, at the same time goes together. What that is, the user of it says."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextvars import Context, copy_context
from itertools import islice
from typing import Generic, TypeVar

from runtime.context import NOBODY, acting

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Gathering(Generic[K, V]):
    """Carries what callers bring, at most `together` in one go, `at_once` goes at a time.

    Who comes while a place is free goes alone and at once; the others wait, and go together when a place becomes free. So nobody
    waits for company, and the busier it is, the more go together (group commit, as databases do it with their logs).
    A go belongs to nobody: it goes on when its callers are cancelled, without their deadline, in the trace of the first of them.
    """

    def __init__(
        self,
        go: Callable[[list[K]], Awaitable[Mapping[K, V]]],
        together: int,
        at_once: int,
        within_s: float | None = None,
        every_s: float = 0.0,
    ) -> None:
        """`go` answers by what was brought, each once; `within_s` is how long the calls in it may take, None: it bounds them itself.

        A go has to end: its place is free then, and those who wait have deadlines of their own alone. With `every_s` it is free so
        long after the go began at the earliest: for what nobody waits for, where few large goes cost less than many small ones.
        """
        self._carry = go
        self._together = together
        self._free = at_once
        self._within_s = within_s
        self._every_s = every_s
        self._waiting: dict[asyncio.Future[V | None], tuple[K, Context]] = {}
        self._going: set[asyncio.Task[None]] = set()

    async def of(self, brought: K) -> V | None:
        """What the go answered to it, None if nothing. Raises what the go raised; whether a thing is done is not known then.

        What is brought by somebody who is cancelled while it waits is not carried.
        """
        answer: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = brought, copy_context()
        if self._free:
            self._start()
        try:
            return await answer
        finally:
            self._waiting.pop(answer, None)

    def _start(self) -> None:
        waited = dict(islice(self._waiting.items(), self._together))
        for answer in waited:
            del self._waiting[answer]
        self._free -= 1
        # In the trace of the first of them: here may be the end of a go before, in the trace of somebody whose call has long ended.
        _, context = next(iter(waited.values()))
        context.run(self._begin, {answer: brought for answer, (brought, _) in waited.items()})

    def _begin(self, some: "Mapping[asyncio.Future[V | None], K]") -> None:
        with acting(NOBODY, self._within_s):
            task = asyncio.get_running_loop().create_task(self._run(some))
        self._going.add(task)
        free_at = task.get_loop().time() + self._every_s
        task.add_done_callback(lambda done: self._ended(done, free_at))

    def _ended(self, task: "asyncio.Task[None]", free_at: float) -> None:
        self._going.discard(task)
        loop = task.get_loop()
        if self._every_s and free_at > loop.time():
            # In no trace: what begins then is in that of who waits for it.
            loop.call_at(free_at, self._freed, context=Context())
        else:
            self._freed()

    def _freed(self) -> None:
        self._free += 1
        if self._waiting:
            self._start()

    async def _run(self, some: "Mapping[asyncio.Future[V | None], K]") -> None:
        try:
            answers = await self._carry(list(dict.fromkeys(some.values())))
        except asyncio.CancelledError:
            for answer in some:
                answer.cancel()
            raise
        except Exception as error:
            for answer in some:
                # Who was cancelled waits no more.
                if not answer.done():
                    answer.set_exception(error)
        else:
            for answer, brought in some.items():
                if not answer.done():
                    answer.set_result(answers.get(brought))
