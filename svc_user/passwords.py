"""Passwords: which are refused, and hashing in a bounded number of threads; where the hashes lie is the store's matter."""

import asyncio
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from runtime.errors import FieldProblem, InvalidArgument
from svc_user.errors import PasswordTooCommon, TooManyLogins

T = TypeVar("T")

RETRY_AFTER_S = 1.0
_NICE = 10
_LEAST, _MOST = 8, 128


def argon2id() -> PasswordHasher:
    """Argon2id with 19 MiB, two passes and one lane: about 20 ms of one core."""
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def common_passwords() -> frozenset[str]:
    """The passwords of at least 8 characters that people use most, in lower case."""
    lines = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def prepared(password: str) -> str:
    """What is hashed, one and the same however a keyboard sends it: letters composed (NFC), every space the plain one (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", "".join(" " if unicodedata.category(c) == "Zs" else c for c in password))


def _give_way() -> None:
    """Let whatever does not hash have the processor first, while all cores are wanted: only Linux knows that of single threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class Passwords:
    """Hashes and checks passwords in `threads` threads; of more than `waiting` further ones each is refused at once.

    What is hashed is what `prepared` makes of a password; nothing is trimmed.
    """

    def __init__(self, hasher: PasswordHasher, common: frozenset[str], threads: int, waiting: int) -> None:
        self._hasher = hasher
        self._common = common
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password", initializer=_give_way)
        self._room = threading.BoundedSemaphore(threads + waiting)
        self._nobodys = hasher.hash(secrets.token_hex())

    def ensure_good(self, password: str, field: str = "password") -> None:
        """Raise, naming the field, InvalidArgument for a password too short or too long, and PasswordTooCommon for one that, in any case,
        everybody tries first.
        """
        given = prepared(password)
        if not _LEAST <= len(given) <= _MOST:
            text = f"must be {_LEAST} to {_MOST} characters, as Unicode composes them"
            raise InvalidArgument(f"the password {text}", fields=[FieldProblem(field, text)])
        if given.lower() in self._common:
            text = "is among the most common passwords"
            raise PasswordTooCommon(f"the password {text}", fields=[FieldProblem(field, text)])

    async def hash(self, password: str) -> str:
        """The hash to store, salt and parameters included. Raises TooManyLogins."""
        return await self._run(lambda: self._hasher.hash(prepared(password)))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of the stored hash; without a hash, False at the same cost. Raises TooManyLogins."""
        return await self._run(lambda: self._verify(stored or self._nobodys, prepared(password)))

    async def close(self) -> None:
        """Let running work end and drop the rest."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise TooManyLogins("too many passwords are being checked", retry_after_s=RETRY_AFTER_S)
        running = self._pool.submit(work)
        # The place is free when the thread is, not when a caller whose deadline passed has gone.
        running.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(running)
