"""Gathering: what comes while others are at it goes together behind them; nobody waits for company, or for somebody who left."""

import asyncio
from collections.abc import Sequence

import pytest

from flights.gathering import Gathering
from runtime.context import NOBODY, Caller, acting, carried, current_caller, current_trace


class Work:
    """Notes who went together, and goes on when it is let."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []
        self.let = asyncio.Semaphore(0)
        self.fails: set[int] = set()

    async def __call__(self, items: Sequence[int]) -> dict[int, int]:
        self.goes.append(list(items))
        await self.let.acquire()
        if self.fails & set(items):
            raise LookupError("one of them")
        return {item: -item for item in items if item}


def calls(gathering: Gathering[int, int], items: Sequence[int]) -> list[asyncio.Task[int | None]]:
    return [asyncio.create_task(gathering.of(item)) for item in items]


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_a_place_is_free_goes_alone_and_the_others_together_behind_them() -> None:
    work = Work()
    tasks = calls(Gathering(work, together=3, at_once=2), range(7))
    await turns()
    assert work.goes == [[0], [1]]
    work.let.release()
    await turns()
    assert work.goes == [[0], [1], [2, 3, 4]]
    assert [task.done() for task in tasks] == [True] + [False] * 6
    for _ in range(3):
        work.let.release()
    assert await asyncio.gather(*tasks) == [None, -1, -2, -3, -4, -5, -6]
    assert work.goes == [[0], [1], [2, 3, 4], [5, 6]]


async def test_what_two_bring_at_the_same_time_goes_once() -> None:
    work = Work()
    tasks = calls(Gathering(work, together=3, at_once=1), [1, 2, 2])
    for _ in range(2):
        work.let.release()
    assert await asyncio.gather(*tasks) == [-1, -2, -2]
    assert work.goes == [[1], [2]]


async def test_a_failure_is_raised_to_those_who_went_together_and_to_nobody_else() -> None:
    work = Work()
    work.fails = {2}
    tasks = calls(Gathering(work, together=2, at_once=1), range(5))
    for _ in range(4):
        work.let.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), LookupError, LookupError, int, int]


async def test_a_go_outlives_who_asked_for_it_and_takes_neither_their_deadline_nor_their_name() -> None:
    """Who gave up while waiting is left out: during an outage those who gave up would be more and more."""
    seen = []

    async def work(items: Sequence[int]) -> dict[int, int]:
        await asyncio.sleep(0)
        seen.append((list(items), current_caller().user_id, carried()[1]))
        return {}

    gathering: Gathering[int, int] = Gathering(work, together=5, at_once=1)
    with acting(Caller(user_id=b"u" * 16), 5):
        tasks = calls(gathering, range(3))
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert seen == [([0], b"", None), ([2], b"", None)]


async def test_of_those_who_gave_up_while_nothing_ends_nothing_is_kept() -> None:
    """P60: a database that is away does not fill the memory with what nobody waits for."""
    gathering = Gathering(Work(), together=5, at_once=1)
    tasks = calls(gathering, range(100))
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not gathering._waiting
    assert len(gathering._going) == 1
    for going in gathering._going:
        going.cancel()


async def test_a_go_is_in_the_trace_of_the_first_in_it_not_of_who_went_before() -> None:
    traces: list[tuple[int, str]] = []

    async def work(items: Sequence[int]) -> dict[int, int]:
        await asyncio.sleep(0)
        traces.append((items[0], current_trace()))
        return {}

    gathering: Gathering[int, int] = Gathering(work, together=2, at_once=1)

    async def one(number: int, trace: str) -> None:
        with acting(NOBODY, 5, trace):
            await gathering.of(number)

    await asyncio.gather(one(0, "a"), one(1, "b"), one(2, "c"), one(3, ""))
    assert traces == [(0, "a"), (1, "b"), (3, "")]


async def test_when_the_process_ends_in_the_middle_who_waits_is_cancelled() -> None:
    gathering = Gathering(Work(), together=5, at_once=1)
    [task] = calls(gathering, [1])
    await turns()
    for going in asyncio.all_tasks() - {task, asyncio.current_task()}:
        going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_where_goes_are_to_be_apart_the_first_is_at_once_and_the_next_takes_all_who_came_meanwhile() -> None:
    work, loop = Work(), asyncio.get_running_loop()
    gathering = Gathering(work, together=3, at_once=1, every_s=0.05)
    began = loop.time()
    first, *others = calls(gathering, range(3))
    work.let.release()
    work.let.release()
    assert await first is None
    assert work.goes == [[0]], "its callers wait for the go alone"
    assert await asyncio.gather(*others) == [-1, -2]
    assert work.goes == [[0], [1, 2]]
    assert loop.time() - began >= 0.05
