"""What waits for a stream: nothing large is in the way of what is small, and what nobody waits for is not sent."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aviary.mesh.v1 import line_pb2

from coalesced.outbox import LARGEST_BYTES, MESSAGE_BYTES, PIECE_BYTES, Outbox, Pieces

LARGE = bytes(range(256)) * (10 * PIECE_BYTES // 256) + b"rest"


class Said:
    """An answer."""

    besides = 0

    def __init__(self, number: int, data: bytes = b"small") -> None:
        self.number = number
        self.data = data

    def put(self, message: line_pb2.CarryResponse, data: bytes) -> None:
        message.answers.add(number=self.number, response=data)


class Stream:
    """Takes one message each time that it is told to."""

    def __init__(self) -> None:
        self.out: Outbox[line_pb2.CarryResponse] = Outbox(line_pb2.CarryResponse)
        self.messages: asyncio.Queue[line_pb2.CarryResponse] = asyncio.Queue()
        self.begun = asyncio.Event()
        self._room = asyncio.Semaphore(0)
        self.running = asyncio.ensure_future(self.out.run(self._write))

    async def _write(self, message: line_pb2.CarryResponse) -> None:
        self.messages.put_nowait(message)
        self.begun.set()
        await self._room.acquire()

    async def take(self, count: int = 1) -> list[list[int]]:
        """The numbers of the answers in the next messages."""
        taken = []
        for _ in range(count):
            self.last = await self.messages.get()
            taken.append([answer.number for answer in self.last.answers])
            self._room.release()
        return taken


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    stream = Stream()
    yield stream
    stream.running.cancel()
    await asyncio.gather(stream.running, return_exceptions=True)


async def test_what_is_said_in_one_turn_of_the_loop_is_one_message(stream: Stream) -> None:
    for number in range(100):
        stream.out.add(Said(number))
    assert await stream.take() == [list(range(100))]
    assert not stream.out.waiting_bytes


async def test_what_comes_while_the_stream_takes_nothing_is_the_next_message(stream: Stream) -> None:
    stream.out.add(Said(1))
    await stream.begun.wait()
    stream.out.add(Said(2))
    await asyncio.sleep(0)
    stream.out.add(Said(3))
    assert await stream.take(2) == [[1], [2, 3]]


async def test_small_answers_pass_a_large_one_and_two_large_ones_take_turns(stream: Stream) -> None:
    stream.out.add(Said(1, LARGE))
    stream.out.add(Said(2, LARGE))
    order = []
    pieces = Pieces()
    for number in range(3, 25):
        stream.out.add(Said(number))
        [numbers] = await stream.take()
        order += numbers
        for piece in stream.last.pieces:
            pieces.add(piece)
        for answer in stream.last.answers:
            if answer.number in (1, 2):
                assert pieces.whole(answer.number, answer.response) == LARGE
    # Each small one left with the next message, and both large ones came after 2 * 11 of them.
    assert [number for number in order if number > 2] == list(range(3, 25))
    assert order.index(1) > 20
    assert order.index(2) > 20


async def test_a_message_is_bounded_however_much_waits(stream: Stream) -> None:
    for number in range(50):
        stream.out.add(Said(number, bytes(PIECE_BYTES)))
    stream.out.add(Said(50, LARGE))
    seen: list[int] = []
    while len(seen) < 51:
        [numbers] = await stream.take()
        seen += numbers
        assert stream.last.ByteSize() < MESSAGE_BYTES + 3 * PIECE_BYTES
    assert sorted(seen) == list(range(51))
    assert not stream.out.waiting_bytes


class Refusal:
    """An answer without data that says much all the same."""

    data = b""
    besides = 1000

    def __init__(self, number: int) -> None:
        self.number = number

    def put(self, message: line_pb2.CarryResponse, data: bytes) -> None:
        message.answers.add(number=self.number).failure.status = bytes(self.besides)


async def test_what_is_said_without_data_is_bounded_and_counted_as_well(stream: Stream) -> None:
    """P60: refusals to a client that does not listen; and one message of them all would be more than gRPC receives."""
    for number in range(5000):
        stream.out.add(Refusal(number))
    assert stream.out.waiting_bytes >= 5000 * Refusal.besides
    assert stream.out.drop(4999)
    seen = 0
    while seen < 4999:
        [numbers] = await stream.take()
        seen += len(numbers)
        assert stream.last.ByteSize() < MESSAGE_BYTES + 3 * PIECE_BYTES
    assert not stream.out.waiting_bytes


async def test_what_is_dropped_is_not_sent_and_it_is_known_whether_the_other_end_has_heard_of_it(
    stream: Stream,
) -> None:
    stream.out.add(Said(1, LARGE))
    stream.out.add(Said(2))
    assert stream.out.drop(2)
    assert await stream.take() == [[]]
    assert not stream.out.drop(1), "a piece of it was sent"
    assert not stream.out.drop(3), "it was never there"
    stream.out.add(Said(4))
    while await stream.take() != [[4]]:
        assert not stream.last.answers
    assert not stream.out.waiting_bytes


async def test_who_waits_for_room_goes_on_when_enough_was_written(stream: Stream) -> None:
    stream.out.add(Said(1, LARGE))
    room = asyncio.ensure_future(stream.out.below(PIECE_BYTES))
    await stream.take(9)
    assert not room.done()
    await stream.take(2)
    await room


async def test_it_ends_when_everything_was_written(stream: Stream) -> None:
    stream.out.add(Said(1))
    stream.out.finish()
    assert await stream.take() == [[1]]
    await stream.running


def test_of_what_is_longer_than_may_be_no_more_is_kept_than_shows_it() -> None:
    pieces = Pieces()
    for _ in range(4 * LARGEST_BYTES // len(LARGE)):
        pieces.add(line_pb2.LinePiece(number=1, data=LARGE))
    assert len(pieces._begun[1]) <= LARGEST_BYTES + len(LARGE)
    assert pieces.whole(1, b"") is None
    assert not pieces
    assert pieces.whole(2, bytes(LARGEST_BYTES)) == bytes(LARGEST_BYTES)
