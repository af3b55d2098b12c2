"""One stream with calls on it, over a stream of the test's own."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from aviary.mesh.v1 import line_pb2
from grpc import aio

from coalesced.line import Call, Line
from coalesced.lines import Lines
from runtime.callers import CallerSigner
from runtime.channel import rpc_error
from runtime.config import Secret
from runtime.ids import SystemClock

PATH = "/aviary.tweet.v1.TweetService/CreateTweet"


class Stream:
    """Takes messages while it is open, and says what it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.taken: list[line_pb2.CarryRequest] = []
        self.says: asyncio.Queue[Any] = asyncio.Queue()

    async def write(self, message: line_pb2.CarryRequest) -> None:
        self.taken.append(message)
        await self.open.wait()

    async def done_writing(self) -> None:
        self.says.put_nowait(aio.EOF)

    async def read(self) -> Any:
        said = await self.says.get()
        if isinstance(said, Exception):
            raise said
        return said


class Holder:
    """Notes what a line tells it."""

    def __init__(self) -> None:
        self.unsent: list[Call] | None = None
        self.left = False

    def leaving(self, line: Line) -> None:
        self.left = True
        line.retire()

    def ended(self, line: Line, unsent: list[Call]) -> None:
        self.unsent = unsent


def call(data: bytes = b"x") -> Call:
    return Call(PATH, data, b"", "", asyncio.get_running_loop().time() + 30)


def made() -> tuple[Line, Stream, Holder]:
    stream, holder = Stream(), Holder()
    return Line(stream, "there", holder), stream, holder


async def turns() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def answering(*calls: Call) -> line_pb2.CarryResponse:
    return line_pb2.CarryResponse(answers=[{"number": c.number, "response": c.data} for c in calls])


async def test_when_a_stream_breaks_what_was_sent_fails_and_what_was_not_can_go_elsewhere() -> None:
    """Of the first nobody knows what became of it; the second, be it a create, nobody has seen."""
    line, stream, holder = made()
    sent, unsent = call(), call()
    line.send(sent)
    await turns()
    line.send(unsent)
    stream.says.put_nowait(rpc_error(grpc.StatusCode.INTERNAL, "reset", None))
    await turns()
    with pytest.raises(aio.AioRpcError) as raised:
        await sent.answer
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not raised.value.trailing_metadata(), "no peer said this"
    assert holder.unsent == [unsent]
    assert not unsent.answer.done()


async def test_a_line_that_is_retired_ends_once_what_is_at_work_has_ended() -> None:
    line, stream, holder = made()
    stream.open.set()
    last = call()
    line.send(last)
    await turns()
    line.retire()
    await turns()
    assert holder.unsent is None
    stream.says.put_nowait(answering(last))
    await turns()
    assert await last.answer == b"x"
    assert holder.unsent == []


async def test_who_is_told_that_the_process_leaves_sends_no_more_and_gets_what_it_waits_for() -> None:
    line, stream, holder = made()
    stream.open.set()
    last = call()
    line.send(last)
    await turns()
    stream.says.put_nowait(line_pb2.CarryResponse(leaving=True))
    await turns()
    assert holder.left
    assert holder.unsent is None
    stream.says.put_nowait(answering(last))
    await turns()
    assert await last.answer == b"x"
    assert holder.unsent == []


async def test_of_a_call_that_is_withdrawn_the_server_hears_only_if_it_has_heard_of_it() -> None:
    line, stream, _ = made()
    sent, unsent = call(), call()
    line.send(sent)
    await turns()
    line.send(unsent)
    line.withdraw(unsent)
    line.withdraw(sent)
    line.withdraw(sent)
    stream.open.set()
    await turns()
    [first, second] = stream.taken
    assert [c.number for c in first.calls] == [sent.number]
    assert (len(second.calls), list(second.cancelled)) == (0, [sent.number])
    await line.close()


async def test_of_an_answer_in_pieces_that_comes_as_its_caller_leaves_nothing_is_kept() -> None:
    line, stream, _ = made()
    stream.open.set()
    line.send(left := call())
    await turns()
    stream.says.put_nowait(line_pb2.CarryResponse(pieces=[{"number": left.number, "data": b"begun"}]))
    await turns()
    # As when its task is cancelled: the line is told in a later turn.
    left.answer.cancel()
    stream.says.put_nowait(answering(left))
    await turns()
    line.withdraw(left)
    assert not line._pieces
    await line.close()


async def test_a_line_is_silent_from_a_call_that_ended_in_vain_until_something_is_heard() -> None:
    line, stream, _ = made()
    stream.open.set()
    for vain in (call(), call()):
        line.send(vain)
        await turns()
        vain.expire()
        assert line.silent
        with pytest.raises(aio.AioRpcError):
            await vain.answer
        stream.says.put_nowait(line_pb2.CarryResponse())
        await turns()
        assert not line.silent
    # An answer to somebody else has come meanwhile: it is the call that takes long.
    slow, quick = call(), call()
    line.send(slow)
    line.send(quick)
    await turns()
    stream.says.put_nowait(answering(quick))
    await turns()
    slow.expire()
    assert not line.silent
    with pytest.raises(aio.AioRpcError):
        await slow.answer
    await line.close()


def choosing(*lines: Line) -> Lines:
    """Gives calls to these."""
    connection: Any = SimpleNamespace(stream_stream=lambda *_, **__: None)
    chosen = Lines(connection, CallerSigner(Secret(b"k" * 32), "tests", SystemClock()))
    chosen._lines.extend(lines)
    return chosen


async def fallen_silent(line: Line, waiting: int) -> None:
    """A call has ended in vain, and so many were not written yet."""
    vain = call()
    line.send(vain)
    await turns()
    for _ in range(waiting):
        line.send(call())
    vain.expire()
    vain.answer.exception()


async def test_a_silent_line_that_takes_no_more_gets_no_call_while_another_one_is_there() -> None:
    """That a message to it waits, and has room, is no reason: a process that hangs leaves messages waiting."""
    (hanging, _, _), (well, stream, _) = made(), made()
    stream.open.set()
    await fallen_silent(hanging, 3)
    lines = choosing(hanging, well)
    took: list[Line | None] = []
    for _ in range(20):
        lines.carry(one := call())
        took.append(one.line)
        await turns()
    assert took == [well] * 20
    for line in (hanging, well):
        await line.close()


async def test_lines_that_are_all_silent_take_turns() -> None:
    """One of them may be silent since a call took long, and would never be heard if it were never asked."""
    (one, first, _), (other, second, _) = made(), made()
    for stream in (first, second):
        stream.open.set()
    lines = choosing(one, other)
    for line in (one, other):
        await fallen_silent(line, 0)
    took: set[Line | None] = set()
    for _ in range(2):
        lines.carry(asked := call())
        took.add(asked.line)
        await turns()
    assert took == {one, other}
    for line in (one, other):
        await line.close()
