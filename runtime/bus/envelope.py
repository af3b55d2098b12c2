"""Where an event message travels: subject, stream, partition, duplicate id, all from its proto option; sending is the buses' part."""

import zlib
from dataclasses import dataclass, field
from typing import Any, cast

from aviary.options.v1 import options_pb2
from google.protobuf import message_factory
from google.protobuf.message import Message

from runtime.context import current_trace
from runtime.contract import Event, event

PARTITIONS = 256
"""Partitions of every subject, for ever: a key's partition must never change."""

DEAD = "dead"
"""Last part of the name of the dead-letter stream."""

WHY, DURABLE, SUBJECT, PLACE = "aviary-why", "aviary-durable", "aviary-subject", "aviary-place"
"""Headers of a dead letter: the failure, who set it aside, where it was published, and its place if order mattered."""

ONLY_FOR = "aviary-only-for"
"""Header of a replayed letter: the durable that set it aside; others have handled the message long ago."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A fact or job, ready to be published; subjects are without the namespace."""

    subject: str
    event_id: bytes
    payload: bytes
    trace: str = field(default_factory=current_trace)


def partition_of(key: bytes) -> int:
    """The partition in which the facts of a key stand."""
    return zlib.crc32(key) % PARTITIONS


def envelope_of(message: Message) -> Envelope:
    """The envelope of a fact or job. Raises ValueError for a signal, and when the event id is missing."""
    contract = event(type(message))
    if contract.kind == options_pb2.EVENT_KIND_SIGNAL:
        raise ValueError(f"{contract.name} is a signal: it is never stored")
    event_id = cast(Any, message).event_id
    if not event_id:
        raise ValueError(f"{contract.name} has no event_id")
    partition = partition_of(_key(message, contract))
    return Envelope(f"{base_subject(contract)}.{partition:03d}", event_id, message.SerializeToString())


def headers_of(envelope: Envelope, producer: str) -> dict[str, str]:
    """Headers of a fact or job: the id that the stream drops repetitions by, who published, and the trace."""
    headers = {"Nats-Msg-Id": envelope.event_id.hex(), "aviary-producer": producer}
    if envelope.trace:
        headers["traceparent"] = envelope.trace
    return headers


def signal_subject(message: Message) -> str:
    """The subject of a signal, without the namespace: it ends in the receiver's key, or `all`."""
    contract = event(type(message))
    return listening_subject(contract, _key(message, contract) if contract.key else b"")


def listening_subject(contract: Event, receiver: bytes) -> str:
    """The subject on which `receiver` (empty: everybody) gets the signal; of a fact all partitions. Raises ValueError for jobs."""
    if contract.kind == options_pb2.EVENT_KIND_JOB:
        raise ValueError(f"{contract.name} is a job: it is for one consumer")
    if contract.kind == options_pb2.EVENT_KIND_FACT:
        return f"{base_subject(contract)}.*"
    return f"{base_subject(contract)}.{receiver.hex() or 'all'}"


def base_subject(contract: Event) -> str:
    """The subject without namespace and partition."""
    return f"{contract.family}.v1.{contract.name}"


def stream_name(contract: Event) -> str:
    """The stream, without the namespace."""
    return f"{contract.family}_jobs" if contract.kind == options_pb2.EVENT_KIND_JOB else contract.family


def siblings(contract: Event) -> list[Event]:
    """Every event of the same file that travels in the same stream, itself included."""
    found = []
    for descriptor in cast(Any, contract.message.DESCRIPTOR.file).message_types_by_name.values():
        if descriptor.GetOptions().Extensions[options_pb2.event].kind == contract.kind:
            other = event(message_factory.GetMessageClass(descriptor))
            if stream_name(other) == stream_name(contract):
                found.append(other)
    return found


def _key(message: Message, contract: Event) -> bytes:
    key: bytes = getattr(message, contract.key)
    return key
