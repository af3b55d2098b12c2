"""Virtual time, asyncio's order of callbacks, and what being killed means: nothing of a life that is over runs on."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

import pytest

from simulation.loop import LIFE, Life, SimulatedLoop, pause


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return SimulatedLoop().run(main)  # type: ignore[abstract]


def living(life: Life) -> contextvars.Context:
    context = contextvars.Context()
    context.run(LIFE.set, life)
    return context


def test_an_hour_passes_at_once() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        await pause(60)
        return asyncio.get_running_loop().time()

    assert run(main()) == 3660


def test_callbacks_come_in_the_order_of_asking_and_timers_in_that_of_their_time() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        loop.call_later(2, seen.append, "2 s")
        loop.call_later(1, seen.append, "1 s")
        loop.call_later(1, seen.append, "1 s, asked later")
        loop.call_soon(seen.append, "now")
        loop.call_soon(seen.append, "now, asked later")
        loop.call_later(1.5, seen.append, "never").cancel()
        await pause(3)
        return seen

    assert run(main()) == ["now", "now, asked later", "1 s", "1 s, asked later", "2 s"]


def test_timeouts_groups_locks_and_events_work() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        lock, event = asyncio.Lock(), asyncio.Event()

        async def one(name: str, seconds: float) -> None:
            async with lock:
                await asyncio.sleep(seconds)
                seen.append(name)

        try:
            async with asyncio.timeout(5):
                await event.wait()
        except TimeoutError:
            seen.append("timeout")
        async with asyncio.TaskGroup() as group:
            group.create_task(one("first", 2))
            group.create_task(one("second", 1))
        asyncio.get_running_loop().call_later(1, event.set)
        await asyncio.wait_for(event.wait(), 2)
        return seen

    assert run(main()) == ["timeout", "first", "second"]


def test_what_a_killed_process_was_doing_stops_where_it_is() -> None:
    """A crash is no cancellation: neither `finally` nor `except CancelledError` runs, not even when the run ends."""
    seen: list[str] = []

    async def work() -> None:
        try:
            seen.append("began")
            await pause(10)
            seen.append("went on")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            if asyncio.get_running_loop().time() < 99:
                seen.append("finally")

    async def main() -> list[str]:
        life = Life()
        loop = asyncio.get_running_loop()
        context = living(life)
        killed = loop.create_task(work(), context=context)
        # Inherited by whatever it begins.
        context.copy().run(loop.call_later, 10, seen.append, "called back")
        await pause(5)
        life.over = True
        await pause(94)
        assert not killed.done()
        return list(seen)

    assert run(main()) == ["began"]


def test_somebody_who_waits_for_a_killed_process_goes_on_after_a_timeout() -> None:
    async def main() -> str:
        life = Life()
        task = asyncio.get_running_loop().create_task(asyncio.sleep(1), context=living(life))
        life.over = True
        try:
            async with asyncio.timeout(30):
                await asyncio.shield(task)
        except TimeoutError:
            return "timeout"
        return "answered"

    assert run(main()) == "timeout"


def test_a_run_in_which_everybody_waits_for_ever_fails() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="never comes"):
        run(main())


def test_tasks_that_ignore_their_end_are_let_go_of_silently() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)

    async def main() -> str:
        asyncio.get_running_loop().create_task(stubborn())
        await pause(1)
        return "over"

    assert run(main()) == "over"
