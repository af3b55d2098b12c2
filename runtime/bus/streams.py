"""Streams and durable consumers, made and brought up to date from the contracts; safe when several processes do it at once."""

from collections.abc import Iterable

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import BadRequestError, NotFoundError

from runtime.bus.envelope import DEAD, base_subject, siblings, stream_name
from runtime.bus.port import Consumption
from runtime.contract import Event

_KEPT_S = 7 * 24 * 3600
_DUPLICATES_S = 120
_MAX_ACK_PENDING = 10_000


class Streams:
    """The streams of one namespace."""

    def __init__(self, jetstream: JetStreamContext, namespace: str, replicas: int, max_messages: int) -> None:
        self.js = jetstream
        self.namespace = namespace
        self.replicas = replicas
        self._max_messages = max_messages
        self._declared: dict[str, Event] = {}
        self._created_us: dict[str, int] = {}

    def name(self, contract: Event) -> str:
        """The stream of a fact or job."""
        return f"{self.namespace}_{stream_name(contract)}"

    @property
    def dead(self) -> str:
        """The dead-letter stream."""
        return f"{self.namespace}_{DEAD}"

    def dead_subject(self, durable: str) -> str:
        """Where a durable's messages are set aside."""
        return f"{self.namespace}.{DEAD}.{durable}"

    async def declare(self, contracts: Iterable[Event]) -> None:
        """Make or update the streams of these facts and jobs, and the dead-letter stream."""
        for contract in contracts:
            self._declared[self.name(contract)] = contract
        await self.restore()

    async def restore(self) -> None:
        """Make again what was declared and vanished."""
        await self._ensure(self._dead_config())
        for contract in self._declared.values():
            await self._ensure(self._config(contract))

    async def created_us(self, name: str) -> int:
        """When a stream was made, as `created_us` says, remembered until `forget`. Raises errors of NATS."""
        if name not in self._created_us:
            self._created_us[name] = created_us(await self.js.stream_info(name))
        return self._created_us[name]

    def forget(self) -> None:
        """Streams may be others now, made again by whoever noticed first that they were gone."""
        self._created_us.clear()

    async def ensure_consumer(self, consumption: Consumption) -> None:
        """Make or update a durable consumer and the stream it reads. It starts at the first message that is kept."""
        stream = self.name(consumption.event)
        config = ConsumerConfig(
            durable_name=consumption.durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=consumption.ack_wait_s,
            deliver_policy=DeliverPolicy.ALL,
            filter_subject=self.filter(consumption.event),
            max_ack_pending=_MAX_ACK_PENDING,
            max_deliver=-1,
        )
        try:
            await self.js.add_consumer(stream, config)
        except NotFoundError:
            await self.declare([consumption.event])
            await self.js.add_consumer(stream, config)

    def filter(self, contract: Event) -> str:
        """All partitions of a fact or job."""
        return f"{self.namespace}.{base_subject(contract)}.*"

    async def _ensure(self, config: StreamConfig) -> None:
        name = config.name or ""
        try:
            found = (await self.js.stream_info(name)).config
        except NotFoundError:
            try:
                await self.js.add_stream(config)
            except BadRequestError:
                # Another process made it between our look and our try.
                found = (await self.js.stream_info(name)).config
            else:
                return
        # Subjects are only added: an older process must not take away what a newer one declared.
        subjects = sorted({*(found.subjects or ()), *(config.subjects or ())})
        wanted = {"subjects": subjects, "num_replicas": config.num_replicas, "max_msgs": config.max_msgs}
        if any(getattr(found, key) != value for key, value in wanted.items()):
            await self.js.update_stream(found.evolve(**wanted))

    def _config(self, contract: Event) -> StreamConfig:
        job = stream_name(contract) != contract.family
        return self._dead_config().evolve(
            name=self.name(contract),
            # All events of the family, whoever declares one: processes that start at once then write the same.
            subjects=sorted(self.filter(e) for e in siblings(contract)),
            retention=RetentionPolicy.WORK_QUEUE if job else RetentionPolicy.LIMITS,
            max_age=None if job else _KEPT_S,
        )

    def _dead_config(self) -> StreamConfig:
        return StreamConfig(
            name=self.dead,
            subjects=[self.dead_subject("*")],
            retention=RetentionPolicy.LIMITS,
            max_msgs=self._max_messages,
            # Refuse, never drop: what is refused stays in an outbox, or its source message is not acknowledged.
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE,
            num_replicas=self.replicas,
            duplicate_window=_DUPLICATES_S,
        )


def created_us(info: StreamInfo) -> int:
    """When a stream was made, in microseconds: what sequences of it are added to, so that places grow over streams."""
    return int(info.created.timestamp() * 1_000_000) if info.created else 0


def fill_of(info: StreamInfo) -> float:
    """How full a stream is, 0 to 1."""
    return info.state.messages / most if (most := info.config.max_msgs or 0) > 0 else 0.0
