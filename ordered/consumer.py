"""Pieces of a partition are parsed, handled, tried again or set aside. Who owns a partition is leases.py."""

import asyncio
from dataclasses import replace

from ordered.port import Item, Ordered, Piece, Slice, Source
from runtime.bus.consumers import Failures, backoff_s, set_aside, until_told
from runtime.bus.envelope import ONLY_FOR, PLACE, base_subject
from runtime.bus.port import Bus, ConsumerState, Delivery, Outcome
from runtime.bus.watch import LOOK_S, STUCK_S, Watch
from runtime.context import Caller, acting, new_trace, told_to_stop
from runtime.contract import event
from runtime.errors import Unavailable
from runtime.telemetry import EVENTS, logger

_FAILURES = 20
_FIRST_PAUSE_S = 0.2

log = logger(__name__)


class OrderedConsumer:
    """Runs one kind of ordered work: `run` is a background task of the process, `check` a probe."""

    def __init__(
        self, bus: Bus, source: Source, work: Ordered, *, look_s: float = LOOK_S, stuck_s: float = STUCK_S
    ) -> None:
        """`bus` takes the dead letters, `source` gives the pieces. Every `look_s` metrics are taken; a partition of this process of
        which nothing comes for `stuck_s`, although something is there, is read anew.
        """
        self._bus = bus
        self._work = work
        self._messages = {base_subject(event(message)): message for message in work.messages}
        owned = source.partitions(work, self._deliver)
        self._watch = Watch(work.durable, owned.backlog, owned.subscription, look_s, stuck_s)

    async def run(self) -> None:
        """Work until cancelled; what is in hand then is finished."""
        async with asyncio.TaskGroup() as group:
            group.create_task(until_told(self._watch.durable, self._watch.subscription.run))
            group.create_task(until_told(self._watch.durable, self._watch.look))

    async def check(self) -> None:
        """Raises Unavailable while nobody says who owns what, or when a partition does not come although it was read anew."""
        self._watch.check()

    async def backlog(self) -> list[ConsumerState]:
        """How far behind the durable is, also in a process that owns none of its partitions. Raises Unavailable."""
        return [await self._watch.backlog()]

    async def _deliver(self, piece: Piece) -> None:
        """Have a piece handled: whole, or where that fails message by message; returns when it is done or set aside."""
        failures, pauses = Failures(_FAILURES), 0
        while True:
            try:
                return await self._attempt(piece)
            except asyncio.CancelledError:
                if told_to_stop():
                    raise
                error: Exception = RuntimeError("cancelled from within")
            except Exception as raised:
                error = raised
            outcome, cause, _ = failures.judge("", error)
            if outcome is not Outcome.DOWN and len(piece.found) > 1:
                for message in piece.found:
                    await self._deliver(replace(piece, found=(message,), until=message.place))
                return
            if outcome is Outcome.DEAD and piece.found and await self._set_aside(piece.found[0], cause):
                piece = replace(piece, found=())
                continue
            # Only this partition waits, and all that stands behind: order allows nothing else.
            pauses += 1
            pause_s = backoff_s(_FIRST_PAUSE_S, pauses)
            where = {"durable": self._work.durable, "partition": piece.partition}
            log.warning("partition_waits", **where, error=repr(cause), pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _attempt(self, piece: Piece) -> None:
        items = [item for delivery in piece.found if (item := self._parsed(delivery)) is not None]
        trace = piece.found[0].headers.get("traceparent") if piece.found else None
        with acting(Caller(service=self._bus.producer), trace=trace or new_trace()):
            await self._work.handle(Slice(piece.partition, piece.epoch, items, piece.until, piece.lost))
        for item in items:
            EVENTS.labels(base_subject(event(type(item.event))), Outcome.DONE.value).inc()

    def _parsed(self, delivery: Delivery) -> Item | None:
        """None for other facts of the family, and for letters that are replayed for others."""
        message = self._messages.get(delivery.subject.rpartition(".")[0])
        if message is None or delivery.headers.get(ONLY_FOR, self._work.durable) != self._work.durable:
            return None
        at = int(delivery.headers.get(PLACE, delivery.place))
        return Item(message.FromString(delivery.payload), at, delivery.place)

    async def _set_aside(self, delivery: Delivery, cause: Exception) -> bool:
        try:
            return await set_aside(self._bus, delivery, self._work.durable, cause)
        except Unavailable:
            return False
