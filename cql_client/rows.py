"""RowWriter, the kind that batches by replica set: many rows in few requests. Single statements are session.py."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from cassandra.query import BatchStatement, BatchType

_ROWS_PER_BATCH = 100
_BATCHES_IN_FLIGHT = 8
_NEVER = object()
Write = tuple[Any, Sequence[Any]]
"""A prepared statement and a row."""
SendBatch = Callable[[Any, int | None], Awaitable[None]]
"""Sends one batch with a timestamp; returns when it is acknowledged, or raises OutcomeUnknown."""


class BatchedByReplicaSet:
    """Writes rows in unlogged batches of up to 100 that go to the same replicas, so that no coordinator forwards most of a batch."""

    def __init__(self, metadata: Any, keyspace: str, send: SendBatch) -> None:
        self._metadata = metadata
        self._keyspace = keyspace
        self._send = send
        self._free = asyncio.Semaphore(_BATCHES_IN_FLIGHT)

    async def write(self, writes: Iterable[Write], timestamp_us: int | None) -> None:
        """Returns when every row is acknowledged; raises the first failure after all batches ended."""
        batches = [self._one(batch, timestamp_us) for batch in self._batches(writes)]
        results = await asyncio.gather(*batches, return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def _one(self, batch: Any, timestamp_us: int | None) -> None:
        async with self._free:
            await self._send(batch, timestamp_us)

    def _batches(self, writes: Iterable[Write]) -> Iterator[Any]:
        alone = len(self._metadata.all_hosts()) <= 1
        open_batches: dict[Any, Any] = {}
        for prepared, values in serialized(writes):
            key = routing_key(prepared, values)
            group = None if alone or key is None else self._replicas(key)
            batch = open_batches.get(group)
            if batch is None:
                batch = open_batches[group] = BatchStatement(batch_type=BatchType.UNLOGGED)
                batch.is_idempotent = True
                batch.routing_key, batch.keyspace = key, self._keyspace
            # Past `add`, which would serialize every value again.
            batch._add_statement_and_params(True, prepared.query_id, values)
            if len(batch) == _ROWS_PER_BATCH:
                yield open_batches.pop(group)
        yield from open_batches.values()

    def _replicas(self, key: bytes) -> tuple[Any, ...]:
        return tuple(host.endpoint for host in self._metadata.get_replicas(self._keyspace, key))


def serialized(writes: Iterable[Write]) -> Iterator[tuple[Any, list[bytes | None]]]:
    """The rows as the protocol wants them; a value that is the same object as in the row before is serialized once."""
    statement: Any = None
    for prepared, row in writes:
        if prepared is not statement:
            statement, types = prepared, [column.type for column in prepared.column_metadata]
            last, raw = [_NEVER] * len(types), cast(list[bytes | None], [None] * len(types))
        if len(row) != len(types):
            raise ValueError(f"{len(row)} values for {len(types)} columns")
        for i, value in enumerate(row):
            if value is not last[i]:
                last[i], raw[i] = value, None if value is None else types[i].serialize(value, prepared.protocol_version)
        yield prepared, list(raw)


def routing_key(prepared: Any, values: Sequence[bytes | None]) -> bytes | None:
    """The partition key of a serialized row as the token function wants it; None when the statement does not name all of it."""
    indexes = prepared.routing_key_indexes
    if not indexes:
        return None
    parts = [values[i] or b"" for i in indexes]
    if len(parts) == 1:
        return parts[0]
    return b"".join(struct.pack(f">H{len(p)}sB", len(p), p, 0) for p in parts)
