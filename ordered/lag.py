"""How far ordered work is behind, all partitions of it, whichever process asks. Who works on them is partitions.py."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from nats import errors
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from ordered.port import Ordered
from runtime.bus import ConsumerState, NatsBus
from runtime.bus.envelope import PARTITIONS
from runtime.bus.streams import created_us, fill_of
from runtime.errors import Unavailable

_AT_ONCE = 32
_NOWHERE = 1 << 64


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What a partition holds from a sequence on: its first message there, or none up to another sequence."""

    start: int
    first: int = 0
    time_ms: int = 0
    none_to: int = 0


class Lag:
    """Compares the stored positions of a durable with what its stream holds.

    It is exact about nothing being left: the leader of the stream is asked for the next message of each partition that is not at the
    end. What it answered stays true, so that only what moved is asked for again.
    """

    def __init__(self, bus: NatsBus, stream: str, subjects: str, work: Ordered) -> None:
        """`subjects`: those of the whole family in `stream`, with {} for the partition."""
        self._bus, self._stream, self._subjects, self._work = bus, stream, subjects, work
        self._created = 0
        self._ahead: dict[int, _Ahead] = {}

    async def state(self, forgotten: Callable[[int], bool]) -> ConsumerState:
        """How far behind the durable is. Raises Unavailable. `pending` is 0 only if nothing is left, otherwise about right.

        `forgotten` says of a partition that this process owns it and does nothing about it: messages of the others count as in hand.
        `progress` stays the same while the oldest message of such a partition does.
        """
        try:
            # The end first: what comes later is no part of the answer, however much comes.
            info = await self._bus.streams.js.stream_info(self._stream)
            # As they are now: one that moved on while questions are under way would seem to be past what was found.
            waiting = await self._waiting(info, dict(await self._work.positions()))
            counts = await self._counts(waiting, info) if waiting else {}
            dead, dead_fill = await self._bus.dead_letters(self._work.durable)
        except (errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(f"NATS did not answer ({type(error).__name__})", retry_after_s=1) from error
        left = {number: ahead for number, ahead in waiting.items() if forgotten(number)}
        oldest_ms = min((ahead.time_ms for ahead in waiting.values()), default=0)
        pending = sum(counts.values())
        return ConsumerState(
            self._work.durable,
            pending,
            max(0, int(time.time() * 1000) - oldest_ms) if oldest_ms else 0,
            dead,
            in_hand=pending - sum(counts[number] for number in left),
            progress=min((ahead.first for ahead in left.values()), default=0),
            fill=max(dead_fill, fill_of(info)),
        )

    async def _waiting(self, info: StreamInfo, positions: Mapping[int, int]) -> dict[int, _Ahead]:
        """The partitions in which something is left, up to the end of the stream at that moment."""
        created, first, last = created_us(info), info.state.first_seq, info.state.last_seq
        if created != self._created:
            self._created, self._ahead = created, {}
        starts = [max(positions.get(number, 0) - created + 1, first) for number in range(PARTITIONS)]
        places = asyncio.Semaphore(_AT_ONCE)

        async def ask(number: int, after: int) -> None:
            async with places:
                self._ahead[number] = await self._next(number, starts[number], after, last)

        # A task for each of the partitions, of which at rest none is to be asked for, was half of what such a process did.
        asked = [
            ask(number, after) for number, start in enumerate(starts) if (after := self._unknown(number, start)) <= last
        ]
        if asked:
            await asyncio.gather(*asked)
        return {
            number: replace(ahead, start=starts[number])
            for number, ahead in self._ahead.items()
            if starts[number] <= ahead.first <= last
        }

    def _unknown(self, number: int, start: int) -> int:
        """From where on in the stream it is not known what a partition holds, `start` or later; nowhere when its next message is known."""
        known = self._ahead.get(number)
        if known is None or start < known.start:
            return max(start, 1)
        return _NOWHERE if known.first >= start else max(start, known.none_to + 1)

    async def _next(self, number: int, start: int, after: int, last: int) -> _Ahead:
        subject = self._subjects.format(f"{number:03d}")
        try:
            found = await self._bus.streams.js.get_msg(self._stream, seq=after, subject=subject, next=True)
        except NotFoundError:
            return _Ahead(start, none_to=last)
        return _Ahead(start, found.seq or after, int(found.time.timestamp() * 1000) if found.time else 0)

    async def _counts(self, waiting: Mapping[int, _Ahead], info: StreamInfo) -> dict[int, int]:
        """About how many messages are left in these partitions: what each holds, by how much of the stream is still to come."""
        subjects = self._subjects.format("*")
        held = (await self._bus.streams.js.stream_info(self._stream, subjects_filter=subjects)).state.subjects or {}
        whole: dict[int, int] = dict.fromkeys(waiting, 0)
        for subject, count in held.items():
            if (number := int(subject[-3:])) in whole:
                whole[number] += count
        first, last = info.state.first_seq, info.state.last_seq
        # Of one that is at the beginning, nothing was handled: all that it holds is left.
        heads = {number: first if ahead.start <= first else ahead.first for number, ahead in waiting.items()}
        return {n: max(1, round(whole[n] * (last - head + 1) / (last - first + 1))) for n, head in heads.items()}
