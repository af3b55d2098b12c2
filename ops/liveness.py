"""Whether a unit that runs is alive: it is asked, and a row of silences counts as hanging. Ending it is the keeper's part."""

import asyncio
from dataclasses import dataclass

from stack.process import Ping

PINGS = 5
"""So many in a row are unanswered before a unit counts as hung."""
_LATE = 1.5


async def ask(ping: Ping, host: str, timeout_s: float) -> str | None:
    """Ping once: None when the unit is well, else what is wrong, in words; returns within the timeout."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, ping.port)
            try:
                writer.write(ping.question)
                answer = await reader.read(4096)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        answer = b""
    return ping.verdict(answer) if answer else f"no answer to {ping.name}"


@dataclass
class Liveness:
    """Counts what came of the pings of one process, one every `every_s`.

    Pings are counted, not seconds: a machine that stood still asked nobody anything.
    """

    every_s: float
    at_start: int
    """So many pings may go unanswered before the first answer: a start takes its time."""
    answered: bool = False
    """Whether it ever did; to have been ready counts."""
    missed: int = 0

    def count(self, wrong: str | None, took_s: float) -> str | None:
        """Note what one ping came to and how long it took; the result says why the process has to be ended."""
        if wrong is None:
            self.answered, self.missed = True, 0
            return None
        if took_s > _LATE * self.every_s:
            # The timeout itself came late: it was we who were held up, and perhaps everybody with us.
            return None
        self.missed += 1
        if self.missed < (PINGS if self.answered else self.at_start):
            return None
        return f"{wrong} for {self.missed * self.every_s:.0f} s"
