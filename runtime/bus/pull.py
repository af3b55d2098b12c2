"""Pulls the messages of one durable from JetStream and hands them to their handler, bounded; what handling means is consumers.py."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from runtime.bus.port import Answer, Consumption, Deliver, Delivery, Outcome
from runtime.context import told_to_stop
from runtime.errors import Unavailable
from runtime.telemetry import logger

_PREFETCH = 256
_EXPIRES_S = 10.0
_HEARTBEAT_S = 2.5
_SILENCE_S = 6.0
_DRAIN_S = 1.0
_MENDING_S = 0.3
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_NANO = 1_000_000_000
_ANSWERS = {Answer.ACK: Msg.Ack.Ack, Answer.RETRY: Msg.Ack.Nak, Answer.DROP: Msg.Ack.Term}
_RENEW = "renew"
_BROKER_ERRORS = (errors.Error, TimeoutError, OSError, Unavailable)

log = logger(__name__)


class ConsumerGone(Exception):
    """The durable consumer, its stream or the leader of either is not there, or a new subscription is wanted."""


def sequences_of(reply: str) -> tuple[int, int]:
    """Where a message stands in its stream and among those of its consumer; `Msg.metadata` says the same at ten times the price."""
    tokens = reply.split(".")
    # Nine words, or eleven and more where the domain and the account stand before the stream's name.
    first = 5 if len(tokens) == 9 else 7
    return int(tokens[first]), int(tokens[first + 1])


class PullSubscription:
    """One durable in this process: one open pull request at a time, handlers in tasks, at most `concurrency` at work."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        stream: str,
        consumption: Consumption,
        deliver: Deliver,
        ensure: Callable[[], Awaitable[None]],
    ) -> None:
        self._client = client
        self._prefix = f"{namespace}."
        self._consumption = consumption
        self._deliver = deliver
        self._ensure = ensure
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumption.durable}"
        self._slots = asyncio.Semaphore(consumption.concurrency)
        self._prefetch = max(2, min(_PREFETCH, 4 * consumption.concurrency))
        self._held: dict[asyncio.Task[None], str] = {}
        """Running handlers, and where the message of each is answered."""
        self._inbox = ""
        self._request = 0
        self._wanted = 0
        self._status: str | None = None
        self._heard_at = 0.0
        self._answered_at = 0.0
        self._changed = asyncio.Event()
        self._pause_s = 0.0
        self._paused_until = 0.0

    def reconnected(self) -> None:
        """The connection is new: the server has forgotten the open request."""
        self._status = "reconnected"
        self._changed.set()

    def renew(self) -> None:
        """Begin with a new subscription; what is in hand goes on."""
        self._status = _RENEW
        self._changed.set()

    def at_work(self) -> bool:
        """Whether messages are in hand, or a pause lasts for a missing dependency."""
        return bool(self._held) or self._paused_until > time.monotonic()

    def silent_s(self) -> float:
        """How long ago the server last said something, 0 while nothing is asked of it."""
        return 0.0 if self.at_work() or not self._answered_at else time.monotonic() - self._answered_at

    async def run(self) -> None:
        """Pull and deliver until cancelled; broken connections, and a stream or consumer that vanished, are mended."""
        signs = asyncio.create_task(self._signs_of_life())
        pause_s = _MENDING_S
        self._answered_at = time.monotonic()
        try:
            while not told_to_stop():
                began = time.monotonic()
                try:
                    await self._ensure()
                    await self._pull()
                except (*_BROKER_ERRORS, ConsumerGone) as error:
                    pause_s = _MENDING_S if self._answered_at > began else min(2 * pause_s, _LONGEST_PAUSE_S)
                    log.warning("consumer_broken", durable=self._consumption.durable, error=repr(error))
                    await asyncio.sleep(pause_s)
        finally:
            signs.cancel()
            for task in list(self._held):
                task.cancel()
            await asyncio.gather(signs, *self._held, return_exceptions=True)

    async def _pull(self) -> None:
        self._inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._received, pending_msgs_limit=-1)
        try:
            # A request made while disconnected would be sent later, beside the next one.
            while self._client.is_connected and not told_to_stop():
                await self._room()
                await self._one_request()
        finally:
            # What is on its way here is still received, so that it can be given back.
            with contextlib.suppress(*_BROKER_ERRORS):
                async with asyncio.timeout(_DRAIN_S):
                    await subscription.drain()  # type: ignore[no-untyped-call]

    async def _room(self) -> None:
        """Wait until half of what may be held is free, and until a pause for a missing dependency is over."""
        while len(self._held) > self._prefetch // 2:
            await asyncio.wait(self._held, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(max(0.0, self._paused_until - time.monotonic()))

    async def _one_request(self) -> None:
        """Ask for messages and wait until all came, the request expired, or nobody answers."""
        self._request += 1
        # After a pause one message goes first, to see whether the dependency is back.
        self._wanted = 1 if self._pause_s else self._prefetch - len(self._held)
        self._status = None
        self._heard_at = time.monotonic()
        body = {"batch": self._wanted, "expires": int(_EXPIRES_S * _NANO), "idle_heartbeat": int(_HEARTBEAT_S * _NANO)}
        await self._client.publish(self._next, json.dumps(body).encode(), reply=f"{self._inbox}.{self._request}")
        while self._wanted > 0 and self._status is None:
            self._changed.clear()
            silence_s = self._heard_at + _SILENCE_S - time.monotonic()
            if silence_s <= 0:
                raise ConsumerGone("nobody answers")
            try:
                async with asyncio.timeout(silence_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
        if self._status in ("404", "503", _RENEW) or (self._status or "").startswith("409 Consumer"):
            raise ConsumerGone(self._status)
        if (self._status or "").startswith("409"):
            await asyncio.sleep(_FIRST_PAUSE_S)

    async def _received(self, msg: Msg) -> None:
        self._heard_at = self._answered_at = time.monotonic()
        status = (msg.headers or {}).get("Status") if not msg.reply.startswith("$JS.ACK") else None
        if status is None:
            self._wanted -= 1
            subject, key = msg.subject.removeprefix(self._prefix), str(sequences_of(msg.reply)[0])
            delivery = Delivery(msg.data, msg.headers or {}, subject, key, partial(self._answer, msg.reply))
            task = asyncio.create_task(self._work(delivery))
            self._held[task] = msg.reply
            task.add_done_callback(self._held.pop)
        elif status != "100" and msg.subject == f"{self._inbox}.{self._request}":
            text = (msg.headers or {}).get("Description", "")
            self._status = f"409 {text}" if status == "409" else status
        if self._wanted <= 0 or self._status is not None:
            self._changed.set()

    async def _work(self, delivery: Delivery) -> None:
        try:
            async with self._slots:
                left_s = self._paused_until - time.monotonic()
                if left_s <= 0:
                    self._remember(await self._deliver(delivery, self._next_pause_s()))
                    return
            await self._give_back(delivery, left_s)
        except asyncio.CancelledError:
            # The handler's task is only cancelled when the process stops: another one shall have the message now, not after ack_wait.
            await self._give_back(delivery, 0)
            raise

    async def _give_back(self, delivery: Delivery, delay_s: float) -> None:
        # Who cannot be reached gives the message to somebody by itself.
        with contextlib.suppress(Unavailable):
            await delivery.answer(Answer.RETRY, delay_s)

    def _remember(self, outcome: Outcome) -> None:
        """Pause after a missing dependency, longer each time; anything else says that dependencies are there."""
        if outcome is not Outcome.DOWN:
            self._pause_s = 0.0
        elif self._paused_until < time.monotonic():
            self._pause_s = self._next_pause_s()
            self._paused_until = time.monotonic() + self._pause_s

    async def _answer(self, reply: str, what: Answer, delay_s: float) -> None:
        payload = _ANSWERS[what]
        if what is Answer.RETRY:
            payload += b" " + json.dumps({"delay": int(delay_s * _NANO)}).encode()
        try:
            # Not confirmed: when it gets lost, the message comes again.
            await self._client.publish(reply, payload)
        except _BROKER_ERRORS as error:
            raise Unavailable(f"NATS takes no acknowledgement ({type(error).__name__})", retry_after_s=1) from error

    def _next_pause_s(self) -> float:
        return min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self._pause_s))

    async def _signs_of_life(self) -> None:
        while True:
            await asyncio.sleep(self._consumption.ack_wait_s / 2)
            try:
                for reply in list(self._held.values()):
                    await self._client.publish(reply, Msg.Ack.Progress)
            except _BROKER_ERRORS as error:
                log.warning("sign_of_life_lost", durable=self._consumption.durable, error=repr(error))
