"""What the driver does on the event loop, without a connection: calls from any thread, timers, answers."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cql_client.reactor import LoopThread, Timer


class Response:
    """A response future of the driver that finishes when told."""

    def add_callbacks(self, succeed: Callable[[Any], None], fail: Callable[[Exception], None]) -> None:
        self.succeed, self.fail = succeed, fail


def elsewhere(*calls: Callable[[], object]) -> None:
    """Each of them, in a thread that has ended then."""

    def run() -> None:
        for call in calls:
            call()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


async def test_what_the_thread_of_the_loop_does_is_done_at_once() -> None:
    done: list[int] = []
    LoopThread().do(done.append, 1)
    assert done == [1]


async def test_what_another_thread_does_is_done_on_that_of_the_loop_in_its_order() -> None:
    home, done = LoopThread(), []

    def note(number: int) -> None:
        done.append((number, threading.get_ident()))

    elsewhere(*(lambda number=number: home.do(note, number) for number in range(100)))  # type: ignore[misc]
    assert done == []
    await asyncio.sleep(0)
    assert done == [(number, threading.get_ident()) for number in range(100)]


def test_nothing_is_done_and_nothing_raised_when_the_loop_is_closed() -> None:
    async def opened() -> tuple[LoopThread, Timer, Response]:
        home, response = LoopThread(), Response()
        home.wait(response).cancel()
        return home, Timer(home, 60, list), response

    home, timer, response = asyncio.run(opened())
    done: list[int] = []
    calls = (lambda: home.do(done.append, 1), timer.cancel, lambda: Timer(home, 0, list), lambda: response.succeed([]))
    for call in calls:
        call()
    elsewhere(*calls)
    assert done == []


async def test_an_answer_is_there_at_once_on_the_thread_of_the_loop() -> None:
    response = Response()
    waiting = LoopThread().wait(response)
    response.succeed([(1,)])
    assert waiting.done() and await waiting == [(1,)]


async def test_answers_of_other_threads_arrive_too() -> None:
    home, given, failing = LoopThread(), Response(), Response()
    answered, failed = home.wait(given), home.wait(failing)
    elsewhere(lambda: given.succeed([]), lambda: failing.fail(ValueError("no")))
    assert await answered == []
    with pytest.raises(ValueError, match="no"):
        await failed


async def test_an_answer_that_nobody_waits_for_any_more_does_no_harm() -> None:
    response = Response()
    LoopThread().wait(response).cancel()
    response.succeed([])


@pytest.mark.parametrize("thread", [lambda call: call(), elsewhere], ids=["own", "other"])
async def test_a_timer_calls_back_on_the_thread_of_the_loop_unless_it_is_cancelled(thread: Callable[..., None]) -> None:
    home, calls = LoopThread(), []
    fired = asyncio.Event()

    def ring() -> None:
        calls.append(threading.get_ident())
        fired.set()

    timers: list[Timer] = []
    thread(lambda: timers.append(Timer(home, 0, lambda: calls.append(0))))
    thread(timers[0].cancel)
    thread(lambda: timers.append(Timer(home, 0.001, ring)))
    await fired.wait()
    assert calls == [threading.get_ident()]


async def test_a_timer_that_another_thread_cancels_does_not_fire_before_the_loop_hears_of_it() -> None:
    """What it would time out is over; its number may be another request's already."""
    home, calls = LoopThread(), []
    timer = Timer(home, 0, lambda: calls.append(1))
    home.loop.call_soon(elsewhere, timer.cancel)
    await asyncio.sleep(0.01)
    assert calls == []
