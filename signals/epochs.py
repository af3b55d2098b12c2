"""How long what was learned of others is believed: while none of their signals may be lost. What signals say is kept elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.message import Message

from runtime import telemetry
from signals.publisher import signal_name

SILENCE_S = 0.75
FORGET_S = 60.0

log = telemetry.logger(__name__)

Lost = Callable[[], None]


@dataclass(slots=True)
class _Publisher:
    sequence: int
    heard_at: float


class Epochs:
    """The epochs of one kind of signal.

    What is learned in epoch E is true as long as `epoch()` is E, but for what was heard since. The epoch moves when a signal may
    have been lost (a gap in a publisher's numbers, or 750 ms without a heartbeat). While a publisher is silent there is no epoch:
    whatever it changes now, nobody here will hear, and everything must be asked. A publisher that says goodbye may be silent; one
    that died is waited for 60 seconds and then forgotten.
    """

    def __init__(self, monotonic: Callable[[], float], kind: type[Message]) -> None:
        """`kind`: as `Publisher` sends it; what its repeated fields hold makes a signal more than a heartbeat."""
        self._now = monotonic
        self._name = signal_name(kind)
        self._carriers = [field.name for field in kind.DESCRIPTOR.fields if field.is_repeated]
        self._publishers: dict[bytes, _Publisher] = {}
        self._since = monotonic()
        self._epoch = 1
        self._silent: set[bytes] = set()
        self._sure_until = 0.0
        """Nobody can be found silent before."""
        self._watchers: list[Lost] = []

    def epoch(self) -> int | None:
        """The epoch in which what is learned now is true; None while nothing may be believed."""
        now = self._now()
        if now >= self._sure_until:
            self._notice_silence(now)
            if self._silent or not self._publishers or now - self._since < SILENCE_S:
                return None
            self._sure_until = SILENCE_S + min(publisher.heard_at for publisher in self._publishers.values())
        return self._epoch

    def watch_lost(self, tell: Lost) -> Callable[[], None]:
        """Call back when a publisher that was heard before skipped a number: something was said that nobody here heard.

        Silence calls nobody: only `epoch()` shows it. Call the result to stop.
        """
        self._watchers.append(tell)
        return partial(self._watchers.remove, tell)

    def heard(self, signal: Any) -> None:
        """A signal arrived. Call it before what the signal says is applied, without an await between the two."""
        now, publisher_id, sequence = self._now(), signal.publisher_id, signal.sequence
        self._notice_silence(now)
        known = self._publishers.get(publisher_id)
        expected = 0 if known is None else known.sequence
        for name in self._carriers:
            if getattr(signal, name):
                expected += 1
                break
        self._silent.discard(publisher_id)
        self._publishers[publisher_id] = _Publisher(max(sequence, expected), now)
        if sequence > expected:
            self.move("first_heard_late" if known is None else "gap")
            if known is not None:
                for tell in list(self._watchers):
                    tell()
        if signal.goodbye:
            del self._publishers[publisher_id]
            self._sure_until = 0.0

    def move(self, why: str) -> None:
        """From now on nothing that was learned before is believed: also for who forgot what it had heard. `why` is for the log."""
        self._epoch += 1
        log.info("signals_unheard", signal=self._name, why=why)

    def _notice_silence(self, now: float) -> None:
        quiet = [each for each in self._publishers.items() if now - each[1].heard_at > SILENCE_S]
        for publisher_id, publisher in quiet:
            if publisher_id not in self._silent:
                self._silent.add(publisher_id)
                self.move("silence")
            if now - publisher.heard_at > FORGET_S:
                self._silent.discard(publisher_id)
                del self._publishers[publisher_id]
