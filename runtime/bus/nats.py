"""The bus over NATS with JetStream. How a message is handled is consumers.py; how it is pulled is pull.py."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from runtime.bus.acks import Acks, NoStream, Outgoing
from runtime.bus.envelope import (
    DURABLE,
    ONLY_FOR,
    PLACE,
    SUBJECT,
    WHY,
    Envelope,
    envelope_of,
    headers_of,
    listening_subject,
    signal_subject,
)
from runtime.bus.port import ConsumerState, Consumption, Deliver, Delivery, Stop, Subscription
from runtime.bus.pull import PullSubscription
from runtime.bus.streams import Streams, fill_of
from runtime.config import MeshConfig
from runtime.contract import event
from runtime.errors import Unavailable
from runtime.telemetry import logger

M = TypeVar("M", bound=Message)

_PUBLISH_S = 2.0
_CHECK_S = 1.0
_API_S = 2.0
_DECLARE_S = 15.0
_CHUNK = 500
_RESTORE_S = 0.1

log = logger(__name__)


class NatsBus:
    """Keeps the promises of `Bus`; reconnects for ever. `connect` makes it."""

    def __init__(self, client: Client, config: MeshConfig) -> None:
        self.producer = config.area
        self._client = client
        self._namespace = config.namespace
        self._js = client.jetstream(timeout=_API_S)
        self.streams = Streams(self._js, config.namespace, config.nats_replicas, config.nats_stream_messages)
        self._acks = Acks(client)
        self._ack_wait_s = config.nats_ack_wait_s
        self._connected = asyncio.Event()
        self._tell_reconnected: list[Callable[[], None]] = []

    @classmethod
    async def connect(cls, config: MeshConfig, patience_s: float = 120) -> "NatsBus":
        """Connect as the process of `config.area`. Waits while no server answers; after `patience_s` raises Unavailable."""
        log.info("nats_connecting", servers=config.nats_urls)
        client = Client()
        bus = cls(client, config)
        try:
            async with asyncio.timeout(patience_s):
                await client.connect(
                    servers=list(config.nats_urls),
                    name=config.area,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,  # type: ignore[arg-type]  # any number is slept
                    connect_timeout=2,
                    # A connection whose other end is silently gone is known for dead after three of these.
                    ping_interval=2,
                    max_outstanding_pings=2,
                    error_cb=bus._on_error,
                    disconnected_cb=bus._on_disconnected,
                    reconnected_cb=bus._on_reconnected,
                )
        except (errors.Error, OSError, TimeoutError) as error:
            await client.close()
            raise Unavailable(f"no NATS server answers at {', '.join(config.nats_urls)}", retry_after_s=1) from error
        bus._connected.set()
        await bus._acks.open()
        await client.subscribe("$JS.EVENT.ADVISORY.STREAM.CREATED.*", cb=bus._on_stream_made)
        return bus

    async def declare(self, messages: Sequence[type[Message]]) -> None:
        """Make or update the streams of facts and jobs; tries for 15 s, then raises Unavailable."""
        contracts = [event(m) for m in messages]
        end = time.monotonic() + _DECLARE_S
        while True:
            try:
                async with self._translated(_API_S * 4):
                    return await self.streams.declare(contracts)
            except Unavailable:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.2)

    async def publish(self, *messages: Message) -> list[int]:
        """Store facts or jobs; returns their places when all are acknowledged. Raises Unavailable within 2 s."""
        return await self.send([envelope_of(m) for m in messages])

    async def send(self, envelopes: Sequence[Envelope]) -> list[int]:
        """As `publish`, for messages that are already packed."""
        outgoing = [
            Outgoing(f"{self._namespace}.{e.subject}", e.payload, headers_of(e, self.producer)) for e in envelopes
        ]
        chunks = [await self._store(outgoing[start : start + _CHUNK]) for start in range(0, len(outgoing), _CHUNK)]
        return [place for chunk in chunks for place in chunk]

    async def signal(self, message: Message) -> None:
        """Tell whoever listens now. Raises Unavailable when the broker is away."""
        if not self._client.is_connected:
            raise Unavailable("NATS is not connected", retry_after_s=1)
        async with self._translated(_PUBLISH_S):
            await self._client.publish(f"{self._namespace}.{signal_subject(message)}", message.SerializeToString())

    async def listen(self, message: type[M], handler: Callable[[M], Awaitable[None]], receiver: bytes = b"") -> Stop:
        """Call `handler` for each signal to `receiver` (empty: everybody), or each fact. Await the result to stop."""

        async def received(msg: Msg) -> None:
            if msg.headers and ONLY_FOR in msg.headers:
                return
            try:
                await handler(message.FromString(msg.data))
            except DecodeError:
                log.warning("signal_unreadable", subject=msg.subject)
            except Exception:
                log.exception("listener_failed", signal=event(message).name)

        subject = f"{self._namespace}.{listening_subject(event(message), receiver)}"
        async with self._translated(_API_S):
            subscription = await self._client.subscribe(subject, cb=received)
            # Heard by the server before we return, or a signal sent next could be missed.
            await self._client.flush(timeout=1)

        async def stop() -> None:
            if not self._client.is_closed:
                await subscription.unsubscribe()

        return stop

    def on_reconnected(self, tell: Callable[[], None]) -> None:
        """Call back whenever the connection is there again after it broke."""
        self._tell_reconnected.append(tell)

    def consume(self, consumption: Consumption, deliver: Deliver) -> Subscription:
        """The consuming end of a durable."""
        consumption = self._impatient(consumption)

        async def ensure() -> None:
            await self._connected.wait()
            await self.streams.ensure_consumer(consumption)

        stream = self.streams.name(consumption.event)
        pull = PullSubscription(self._client, self._namespace, stream, consumption, deliver, ensure)
        self.on_reconnected(pull.reconnected)
        return Subscription(pull.run, pull.at_work, pull.silent_s, pull.renew)

    async def bury(self, delivery: Delivery, durable: str, why: str) -> None:
        """Store the message in the dead-letter stream, once. Raises Unavailable."""
        headers = {
            **{k: v for k, v in delivery.headers.items() if not k.startswith("Nats-")},
            # A message that fails again after its replay has another key, and is set aside again.
            "Nats-Msg-Id": f"{durable}:{delivery.subject}:{delivery.key}",
            WHY: " ".join(why.split())[:500],
            SUBJECT: delivery.subject,
            DURABLE: durable,
        }
        if delivery.place:
            headers.setdefault(PLACE, str(delivery.place))
        await self._store([Outgoing(self.streams.dead_subject(durable), delivery.payload, headers)])

    async def backlog(self, consumption: Consumption) -> ConsumerState:
        """How far behind a durable is. Raises Unavailable."""
        stream = self.streams.name(consumption.event)
        async with self._translated(_API_S * 3):
            try:
                info = await self._js.consumer_info(stream, consumption.durable)
            except NotFoundError:
                await self.streams.ensure_consumer(self._impatient(consumption))
                info = await self._js.consumer_info(stream, consumption.durable)
            in_hand, floor, last = info.num_ack_pending or 0, info.ack_floor, info.delivered
            pending = (info.num_pending or 0) + in_hand
            age_ms = await self._age_ms(consumption, floor.stream_seq + 1 if floor else 1) if pending else 0
            progress = (floor.consumer_seq if floor else 0) + (last.consumer_seq if last else 0)
            dead, dead_fill = await self.dead_letters(consumption.durable)
            fill = max(dead_fill, fill_of(await self._js.stream_info(stream)))
            return ConsumerState(consumption.durable, pending, age_ms, dead, in_hand, progress, fill)

    async def dead_letters(self, durable: str) -> tuple[int, float]:
        """How many messages of a durable are set aside, and how full their stream is. Raises errors of NATS."""
        subject = self.streams.dead_subject(durable)
        info = await self._js.stream_info(self.streams.dead, subjects_filter=subject)
        return (info.state.subjects or {}).get(subject, 0), fill_of(info)

    async def check(self) -> None:
        """Raises Unavailable within 1 s when NATS is not connected or JetStream does not answer."""
        if not self._client.is_connected:
            raise Unavailable("NATS is not connected", retry_after_s=1)
        async with self._translated(_CHECK_S):
            await self._js.account_info()

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        with contextlib.suppress(errors.Error, OSError, TimeoutError):
            if self._client.is_connected:
                await self._client.flush(timeout=1)
        await self._client.close()

    async def _store(self, messages: Sequence[Outgoing]) -> list[int]:
        async with self._translated(_PUBLISH_S):
            while True:
                await self._connected.wait()
                try:
                    stored = await self._acks.publish(messages)
                    return [await self.streams.created_us(stream) + sequence for stream, sequence in stored]
                except NoStream:
                    # A broker that lost its store, or one without a leader for some seconds. The ids make repeating harmless.
                    self.streams.forget()
                    await asyncio.sleep(_RESTORE_S)
                    await self.streams.restore()

    def _impatient(self, consumption: Consumption) -> Consumption:
        return replace(consumption, ack_wait_s=min(consumption.ack_wait_s, self._ack_wait_s))

    async def _age_ms(self, consumption: Consumption, sequence: int) -> int:
        try:
            message = await self._js.get_msg(
                self.streams.name(consumption.event),
                seq=sequence,
                subject=self.streams.filter(consumption.event),
                next=True,
            )
        except NotFoundError:
            return 0
        return max(0, int((time.time() - message.time.timestamp()) * 1000)) if message.time else 0

    @contextlib.asynccontextmanager
    async def _translated(self, timeout_s: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except (errors.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"NATS did not answer ({type(error).__name__})", retry_after_s=1) from error

    async def _on_error(self, error: Exception) -> None:
        # While disconnected every vain try to reconnect comes here, ten a second.
        if self._connected.is_set():
            log.warning("nats_error", error=repr(error))

    async def _on_stream_made(self, _msg: Msg) -> None:
        self.streams.forget()

    async def _on_disconnected(self) -> None:
        self._connected.clear()
        self.streams.forget()
        log.warning("nats_disconnected")

    async def _on_reconnected(self) -> None:
        self._connected.set()
        log.info("nats_reconnected")
        for tell in self._tell_reconnected:
            tell()
