"""Hashing of passwords in processes of its own; what one of them does is hashing_process.py, who may have it done passwords.py.

Not in threads: niceness of a thread counts beside those of its own process only, where sessions or containers share the processor, and
what threads of this process use its loop waits for.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Protocol

from runtime.errors import Unavailable
from runtime.telemetry import logger

_PROGRAM = Path(__file__).with_name("hashing_process.py")
_WITHIN_S = 10.0
"""For a hash, with the start of the process and however much goes before it. One that takes longer hangs."""

log = logger(__name__)


class Hashing(Protocol):
    """Makes and checks hashes of passwords, `at_once` of them at a time; who asks for more waits for nothing."""

    at_once: int

    async def hash(self, password: str) -> str:
        """The hash to store, salt and parameters included. Raises Unavailable."""

    async def matches(self, stored: str, password: str) -> bool:
        """Whether a stored hash is this password's. Raises Unavailable."""


class HashingProcesses:
    """At most `at_once` processes, each started when it is needed; one that ended or hangs is replaced."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._idle: list[_Process] = []

    async def hash(self, password: str) -> str:
        """See Hashing."""
        return str(await self._ask(password, None))

    async def matches(self, stored: str, password: str) -> bool:
        """See Hashing."""
        return bool(await self._ask(password, stored))

    async def close(self) -> None:
        """End the processes that have nothing to do."""
        while self._idle:
            await self._idle.pop().end()

    async def _ask(self, *question: str | None) -> Any:
        """What a process answers. Hashing twice is harmless: what a process that ended did not answer is asked again."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                if self._idle:
                    try:
                        return await self._answer(self._idle.pop(), question)
                    except EOFError:
                        log.warning("hashing_ended")
                return await self._answer(await _Process.start(), question)
        except (TimeoutError, EOFError) as error:
            raise Unavailable("passwords cannot be hashed now", retry_after_s=1) from error

    async def _answer(self, process: "_Process", question: tuple[str | None, ...]) -> Any:
        try:
            answer = await process.ask(question)
        except BaseException:
            # Whatever it still says would be taken for the answer to the next question.
            await process.end()
            raise
        self._idle.append(process)
        return answer


class _Process:
    """One process; it answers one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "_Process":
        """A process that is ready. Raises EOFError when it ends instead."""
        pipe = asyncio.subprocess.PIPE
        # No environment: ours holds keys. A session of its own: what it is weighed as (hashing_process.py).
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_PROGRAM), stdin=pipe, stdout=pipe, env={}, start_new_session=True
        )
        started = cls(process)
        try:
            if hindrance := await started._heard():
                log.warning("hashing_gives_no_way", why=hindrance)
        except BaseException:
            await started.end()
            raise
        return started

    async def ask(self, question: tuple[str | None, ...]) -> Any:
        """Its answer. Raises EOFError when it ends instead."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        return await self._heard()

    async def end(self) -> None:
        """End it: it holds nothing that could be lost."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def _heard(self) -> Any:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)
