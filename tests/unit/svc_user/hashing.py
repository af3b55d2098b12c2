"""Hashing in this process and for next to nothing, for tests; the real one has a process of its own."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from svc_user.passwords import Passwords
from tests.monotonic import Monotonic

_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_NOBODYS = _CHEAP.hash("what nobody has typed")


class CheapHashing:
    """Hashes at once, and counts the checks."""

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self.checks = 0

    async def hash(self, password: str) -> str:
        return _CHEAP.hash(password)

    async def matches(self, stored: str, password: str) -> bool:
        self.checks += 1
        try:
            return _CHEAP.verify(stored, password)
        except VerifyMismatchError:
            return False


class HeldHashing(CheapHashing):
    """Checks nothing before it may."""

    def __init__(self, at_once: int = 1) -> None:
        super().__init__(at_once)
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def matches(self, stored: str, password: str) -> bool:
        self.begun.set()
        await self.go.wait()
        return await super().matches(stored, password)


class SlowHashing(CheapHashing):
    """Each check takes so many seconds of a clock that is moved by it."""

    def __init__(self, each_s: float) -> None:
        super().__init__()
        self.each_s = each_s
        self.monotonic = Monotonic()

    async def matches(self, stored: str, password: str) -> bool:
        self.monotonic.advance(self.each_s)
        return await super().matches(stored, password)


def passwords_by(hashing: CheapHashing, waiting: int, common: frozenset[str] = frozenset()) -> Passwords:
    """Passwords over a hashing of these."""
    monotonic = hashing.monotonic if isinstance(hashing, SlowHashing) else Monotonic()
    return Passwords(hashing, common, _NOBODYS, waiting, monotonic)
