"""Ids, clocks and randomness as values that are passed in; nothing here knows what an id stands for."""

import os
import time
import uuid
from collections.abc import Callable
from typing import Protocol

WEEK_MS = 7 * 24 * 3600 * 1000
BACKWARDS_MS = 50
_RAND_BITS = 74


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""


class SystemClock:
    """The machine's own time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1_000


class ClockProbe:
    """Knows by the machine's steady clock when the time of day went back by more than 50 ms, and until it has caught up.

    Looked at from time to time: what it takes for the latest time that anybody saw may be too late, never too early.
    """

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._seen_ms, self._at_s = clock.now_ms(), monotonic()
        self._until_ms = 0

    async def check(self) -> None:
        """Raises RuntimeError while the clock is behind a time that it has shown: ids made now would be dated by that time."""
        now_ms, at_s = self._clock.now_ms(), self._monotonic()
        expected_ms = self._seen_ms + int((at_s - self._at_s) * 1000)
        if now_ms < expected_ms - BACKWARDS_MS:
            self._until_ms = max(self._until_ms, expected_ms)
        self._seen_ms, self._at_s = now_ms, at_s
        if now_ms < self._until_ms:
            raise RuntimeError(f"the clock went back and is {self._until_ms - now_ms} ms behind")


class Ids(Protocol):
    """Makes ids."""

    def next(self) -> uuid.UUID:
        """A new UUIDv7, greater than every id that this object made before."""


class Uuid7Ids:
    """UUIDv7 of RFC 9562, method 2: the random part counts up within a millisecond, and a clock that goes back is not followed."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._random = random_bytes
        self._last_ms = 0
        self._rand = 0

    def next(self) -> uuid.UUID:
        """A new UUIDv7, greater than every id that this object made before."""
        now = self._clock.now_ms()
        if now > self._last_ms:
            # The top bit stays free, so that counting up does not overflow within a millisecond.
            self._last_ms, self._rand = now, int.from_bytes(self._random(10)) >> 7
        else:
            self._rand += 1 + int.from_bytes(self._random(4))
        return uuid7_of(self._last_ms, self._rand)


def uuid7_of(ms: int, rand: int = 0) -> uuid.UUID:
    """The UUIDv7 with this time and these 74 bits; with rand = 0 the least id of the millisecond."""
    rand &= (1 << _RAND_BITS) - 1
    value = (ms << 80) | (0x7 << 76) | ((rand >> 62) << 64) | (0b10 << 62) | (rand & ((1 << 62) - 1))
    return uuid.UUID(int=value)


def ms_of(id_bytes: bytes) -> int:
    """Milliseconds since 1970 that a UUIDv7 of 16 bytes holds."""
    return int.from_bytes(id_bytes[:6])


def derived(kind: str, *parts: bytes) -> bytes:
    """16 bytes that depend only on the arguments: the id of an event, the same however often it is made."""
    return uuid.uuid5(uuid.NAMESPACE_OID, kind + ":" + b"".join(parts).hex()).bytes


def split_ids(packed: bytes) -> list[bytes]:
    """The 16-byte ids of a packed list."""
    return [packed[i : i + 16] for i in range(0, len(packed), 16)]
