"""Renewing ahead: nobody waits for it, what comes due together goes together, and a failure is told to nobody but the log."""

import asyncio

import grpc
from grpc import aio

from flights.ahead import Ahead
from runtime.context import NOBODY, Caller, acting, current_caller
from tests.waiting import until


async def test_what_comes_due_together_is_renewed_together_and_by_nobody() -> None:
    goes = list[tuple[list[bytes], Caller]]()

    async def renew(keys: list[bytes]) -> None:
        goes.append((keys, current_caller()))

    ahead = Ahead(renew, together=2)
    with acting(Caller(user_id=b"u" * 16)):
        for key in (b"a", b"b", b"a", b"c"):
            ahead.soon(key)
    assert goes == []
    await until(lambda: len(goes) == 2)
    assert goes == [([b"a", b"b"], NOBODY), ([b"c"], NOBODY)]
    ahead.soon(b"a")
    await until(lambda: len(goes) == 3)


async def test_what_is_being_renewed_is_not_renewed_once_more() -> None:
    goes, let = list[list[bytes]](), asyncio.Event()

    async def renew(keys: list[bytes]) -> None:
        goes.append(keys)
        await let.wait()

    ahead = Ahead(renew, together=2)
    ahead.soon(b"a")
    await until(lambda: bool(goes))
    ahead.soon(b"a")
    ahead.soon(b"b")
    let.set()
    await until(lambda: len(goes) == 2)
    assert goes == [[b"a"], [b"b"]]


async def test_what_cannot_be_renewed_is_left_and_the_next_is_tried() -> None:
    goes = list[list[bytes]]()

    async def renew(keys: list[bytes]) -> None:
        goes.append(keys)
        raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "away")

    ahead = Ahead(renew, together=1)
    ahead.soon(b"a")
    ahead.soon(b"b")
    await until(lambda: goes == [[b"a"], [b"b"]])


async def test_nothing_waits_behind_what_fails_in_a_way_that_nobody_expects() -> None:
    goes = list[list[bytes]]()

    async def renew(keys: list[bytes]) -> None:
        goes.append(keys)
        if b"bad" in keys:
            raise KeyError(b"bad")

    ahead = Ahead(renew, together=1)
    ahead.soon(b"bad")
    await until(lambda: goes == [[b"bad"]] and ahead._running is None)
    ahead.soon(b"a")
    await until(lambda: goes == [[b"bad"], [b"a"]])
