"""Which streams a channel has, over a connection of the test's own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from aviary.mesh.v1 import line_pb2
from grpc import aio

from coalesced.line import Call
from coalesced.lines import LEAVING, PROCESS_KEY, Lines
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.ids import SystemClock
from tests.waiting import until

SIGNER = CallerSigner(Secret(b"k" * 32), "tests", SystemClock())
HANGS, LEAVES, MUTE = "hangs", "leaves", "mute"


class Stream:
    """To a process that answers every call with its name, never says a word, leaves, or says nothing after the first word."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.cancelled = False
        self._says: asyncio.Queue[Any] = asyncio.Queue()

    async def initial_metadata(self) -> aio.Metadata:
        if self.process == HANGS:
            await asyncio.Event().wait()
        return aio.Metadata() if self.process == LEAVES else aio.Metadata((PROCESS_KEY, self.process))

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    async def details(self) -> str:
        return "it stops"

    async def trailing_metadata(self) -> aio.Metadata:
        return aio.Metadata(LEAVING)

    def cancel(self) -> None:
        self.cancelled = True

    async def write(self, message: line_pb2.CarryRequest) -> None:
        answers = [{"number": call.number, "response": self.process.encode()} for call in message.calls]
        if self.process != MUTE:
            self._says.put_nowait(line_pb2.CarryResponse(answers=answers))

    async def done_writing(self) -> None:
        self._says.put_nowait(aio.EOF)

    async def read(self) -> Any:
        return await self._says.get()


class Connection:
    """Gives streams to processes in turns, as round robin does."""

    def __init__(self, *processes: str) -> None:
        self.opened: list[Stream] = []
        self._turns: Iterator[str] = iter(processes)

    def stream_stream(self, *_: Any, **__: Any) -> Any:
        return self._open

    def _open(self, **_: Any) -> Stream:
        self.opened.append(Stream(next(self._turns)))
        return self.opened[-1]


def lines_over(*processes: str) -> tuple[Lines, Connection]:
    connection: Any = Connection(*processes)
    return Lines(connection, SIGNER), connection


def carried(lines: Lines) -> Call:
    call = Call("/aviary.tweet.v1.TweetService/CreateTweet", b"", b"", "", asyncio.get_running_loop().time() + 30)
    lines.carry(call)
    return call


async def answered_by(lines: Lines) -> str:
    return (await carried(lines).answer).decode()


@pytest.mark.parametrize("first", [HANGS, LEAVES])
async def test_calls_that_wait_are_given_to_the_next_process_when_the_first_hangs_or_leaves(first: str) -> None:
    lines, connection = lines_over(first, "there", "there")
    assert await answered_by(lines) == "there"
    assert connection.opened[0].cancelled == (first == HANGS)
    await lines.close()


async def test_there_is_one_line_to_each_process_and_messages_go_to_them_in_turns() -> None:
    lines, connection = lines_over("one", "two", "three", "one")
    await answered_by(lines)
    await until(lambda: len(connection.opened) == 4)
    assert [await answered_by(lines) for _ in range(3)] != ["one"] * 3
    assert sorted([await answered_by(lines) for _ in range(9)]) == ["one"] * 3 + ["three"] * 3 + ["two"] * 3
    # What is said in one turn of the loop goes as one message.
    together = await asyncio.gather(*(answered_by(lines) for _ in range(10)))
    assert len(set(together)) == 1
    await lines.close()


async def test_a_process_that_hangs_beside_another_one_gets_no_more_calls_once_one_was_lost() -> None:
    """Long before a ping of its connection has gone unanswered."""
    lines, connection = lines_over("there", MUTE, "there")
    await answered_by(lines)
    await until(lambda: len(connection.opened) == 3)
    lost = carried(lines)
    while lost.line is None or lost.line.process != MUTE:
        await lost.answer
        lost = carried(lines)
    lost.expire()
    with pytest.raises(aio.AioRpcError):
        await lost.answer
    assert [await answered_by(lines) for _ in range(10)] == ["there"] * 10
    await lines.close()
