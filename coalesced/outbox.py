"""What waits to be written to one stream: everything small at once, something large piece by piece, so that neither waits for the other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from aviary.mesh.v1 import line_pb2

M = TypeVar("M", bound=line_pb2.CarryRequest | line_pb2.CarryResponse)
Said_contra = TypeVar("Said_contra", contravariant=True)

MESSAGE_BYTES = 64 * 1024
PIECE_BYTES = 32 * 1024
LARGEST_BYTES = 4 * 1024 * 1024
"""Of one request or answer, as on the ordinary port: who receives more refuses it."""
_LEAST_BYTES = 16
"""That a frame takes, whatever it says."""


class Frame(Protocol[Said_contra]):
    """Something to be said about one call."""

    number: int
    """Of the call. Only one frame of a number waits at a time."""
    data: bytes
    besides: int
    """Bytes that are said besides the data."""

    def put(self, message: Said_contra, data: bytes) -> None:
        """Add it to a message, with what is left of the data."""


class Outbox(Generic[M]):
    """Frames in the order in which they came, written while the stream takes them; what comes meanwhile is the next message.

    A message holds all small frames that wait, up to 64 KiB, and one piece of 32 KiB of a large one.
    """

    def __init__(self, message: Callable[[], M]) -> None:
        self.waiting_bytes = 0
        self._message = message
        self._small: dict[int, Frame[M]] = {}
        self._large: dict[int, tuple[Frame[M], int]] = {}
        self._finished = False
        self._idle: asyncio.Future[None] | None = None
        self._written: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._small) + len(self._large)

    def add(self, frame: Frame[M]) -> None:
        """Let a frame wait; what is added before the loop turns goes together."""
        if len(frame.data) > PIECE_BYTES:
            self._large[frame.number] = frame, 0
            self.waiting_bytes += len(frame.data)
        else:
            self._small[frame.number] = frame
            self.waiting_bytes += _size(frame)
        self._wake()

    def drop(self, number: int) -> bool:
        """Forget the frame of a number. Whether the other end has never heard of it."""
        small = self._small.pop(number, None)
        if small is not None:
            self.waiting_bytes -= _size(small)
            return True
        large, at = self._large.pop(number, (None, 0))
        if large is None:
            return False
        self.waiting_bytes -= len(large.data) - at
        return at == 0

    def finish(self) -> None:
        """Let `run` return once nothing waits any more."""
        self._finished = True
        self._wake()

    async def run(self, write: Callable[[M], Awaitable[None]]) -> None:
        """Write until `finish`. Raises what writing raises."""
        while True:
            while self._small or self._large:
                await write(self._taken())
                if self._written is not None:
                    self._written.set_result(None)
                    self._written = None
            if self._finished:
                return
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    async def below(self, waiting_bytes: int) -> None:
        """Wait until less than this waits; for one task at a time."""
        while self.waiting_bytes >= waiting_bytes:
            self._written = asyncio.get_running_loop().create_future()
            await self._written

    def _taken(self) -> M:
        message = self._message()
        small, room = self._small, MESSAGE_BYTES
        while small and room > 0:
            frame = small.pop(next(iter(small)))
            frame.put(message, frame.data)
            room -= _size(frame)
        self.waiting_bytes -= MESSAGE_BYTES - room
        if self._large:
            number = next(iter(self._large))
            frame, at = self._large.pop(number)
            piece = frame.data[at : at + PIECE_BYTES]
            self.waiting_bytes -= len(piece)
            if at + PIECE_BYTES < len(frame.data):
                message.pieces.add(number=number, data=piece)
                # At the end: several large ones take turns.
                self._large[number] = frame, at + PIECE_BYTES
            else:
                frame.put(message, piece)
        return message

    def _wake(self) -> None:
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None


def _size(frame: Frame[Any]) -> int:
    return len(frame.data) + frame.besides + _LEAST_BYTES


class Pieces:
    """Beginnings of large messages that have arrived, until the rest is there."""

    def __init__(self) -> None:
        self._begun: dict[int, bytearray] = {}

    def __len__(self) -> int:
        """How many have begun."""
        return len(self._begun)

    def add(self, piece: line_pb2.LinePiece) -> None:
        """Keep a piece; of what is longer than may be it is enough to know that."""
        whole = self._begun.setdefault(piece.number, bytearray())
        if len(whole) <= LARGEST_BYTES:
            whole += piece.data

    def whole(self, number: int, rest: bytes) -> bytes | None:
        """The message of which the rest has come; None when it is longer than may be."""
        begun = self._begun.pop(number, None)
        if begun is not None:
            rest = bytes(begun + rest)
        return rest if len(rest) <= LARGEST_BYTES else None

    def drop(self, number: int) -> None:
        """Forget what was cancelled."""
        self._begun.pop(number, None)
