"""The session of a process: statements in, rows out, on the event loop. What the statements mean is the stores' matter."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from cassandra.query import BatchStatement, BatchType

from cql_client.connect import CONDITIONAL, READ, SERIAL_READ, WRITE, Opened, open_session
from cql_client.reactor import LoopThread
from cql_client.rows import BatchedByReplicaSet
from cql_client.statements import ANSWERS, Applied, Consistency, Rows, Statement, translated
from runtime.breaker import Breaker
from runtime.config import MeshConfig
from runtime.errors import Unavailable

Params = Sequence[Any]
_APPLIED = "[applied]"


class Cql:
    """One session, on the keyspace `{namespace}_{area}` of a process. Reads end within 2 s, writes within 5 s, at LOCAL_QUORUM unless
    a statement says otherwise.

    A server that is away makes reads raise `Unavailable` and writes `OutcomeUnknown`; the driver reconnects by itself. One that does
    not answer is not asked for a moment (breaker.py): then both raise `Unavailable` at once, and nothing was written.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._home = LoopThread()
        self._rows = BatchedByReplicaSet(opened.cluster.metadata, opened.keyspace, self._send)
        self._breaker = Breaker("cql")
        self._ping = Statement("SELECT key FROM system.local WHERE key = 'local'")

    @classmethod
    async def connect(cls, config: MeshConfig, schema_dir: Path, patience_s: float = 120) -> "Cql":
        """Connect, make the keyspace, apply `schema_dir`/0001_*.cql … once. Waits for a server; after `patience_s` raises Unavailable."""
        connections = LoopThread().connection_class()
        return cls(await asyncio.to_thread(open_session, config, schema_dir, patience_s, connections))

    def prepare(self, query: str, consistency: Consistency = Consistency.QUORUM) -> Statement:
        """A statement with `?` for parameters and table names without keyspace; the server sees it at its first use."""
        return Statement(query, consistency)

    async def execute(self, statement: Statement, params: Params = (), *, timestamp_us: int | None = None) -> Rows:
        """The rows of a read, all of them; an empty list for a write. `timestamp_us` is the write's CQL timestamp."""
        bound = (await self._prepared(statement)).bind(params)
        profile = READ if statement.reads else WRITE
        return cast(Rows, await self._send(bound, timestamp_us, profile, statement.reads) or [])

    async def read_serial(self, statement: Statement, params: Params = ()) -> Rows:
        """As `execute`, but sees every conditional write that was acknowledged, and finishes one that was cut off (LOCAL_SERIAL)."""
        bound = (await self._prepared(statement)).bind(params)
        return cast(Rows, await self._send(bound, None, SERIAL_READ, True) or [])

    async def apply_lwt(self, statement: Statement, params: Params = ()) -> Applied:
        """Run a statement with IF. After `OutcomeUnknown` the same statement again tells, by the row it finds, what happened."""
        bound = (await self._prepared(statement)).bind(params)
        answer: list[dict[str, Any]] = await self._send(bound, None, CONDITIONAL)
        row = dict(answer[0])
        applied = bool(row.pop(_APPLIED))
        return Applied(applied, None if applied else row or None)

    async def logged_batch(
        self, statements: Iterable[tuple[Statement, Params]], timestamp_us: int | None = None
    ) -> None:
        """All of them or none, in the end. With the same `timestamp_us` a repetition writes identical cells."""
        batch = BatchStatement(batch_type=BatchType.LOGGED)
        batch.is_idempotent = True
        for statement, params in statements:
            batch.add(await self._prepared(statement), params)
        await self._send(batch, timestamp_us)

    async def write_rows(
        self, statement: Statement, rows: Iterable[Params], *, timestamp_us: int | None = None
    ) -> None:
        """Run one INSERT, UPDATE or DELETE for many rows, batched. Returns when all are acknowledged; otherwise some may be."""
        await self.write_all(((statement, row) for row in rows), timestamp_us)

    async def write_all(self, writes: Iterable[tuple[Statement, Params]], timestamp_us: int | None = None) -> None:
        """As `write_rows`, of several statements. Of up to 100 those of one partition are written all or none."""
        await self._rows.write([(await self._prepared(statement), row) for statement, row in writes], timestamp_us)

    async def ping(self) -> None:
        """Raises Unavailable within 2 s when no server answers."""
        await self.execute(self._ping)

    async def close(self) -> None:
        """End the session."""
        await asyncio.to_thread(self._opened.cluster.shutdown)

    async def _prepared(self, statement: Statement) -> Any:
        if statement.prepared is None:
            async with statement.lock:
                if statement.prepared is None:
                    # Nothing is executed yet, so nothing is unknown.
                    prepare = partial(asyncio.to_thread, self._opened.session.prepare, statement.query)
                    prepared = await self._asked(prepare, reads=True)
                    prepared.is_idempotent = not statement.conditional
                    if statement.consistency is not Consistency.QUORUM:
                        prepared.consistency_level = statement.consistency
                    statement.prepared = prepared
        return statement.prepared

    async def _send(self, query: Any, timestamp_us: int | None, profile: str = WRITE, reads: bool = False) -> Any:
        fixed = self._opened.timestamps.fixed

        async def sent() -> Any:
            fixed.us = timestamp_us
            try:
                response = self._opened.session.execute_async(query, execution_profile=profile)
            finally:
                fixed.us = None
            return await self._home.wait(response)

        return await self._asked(sent, reads=reads)

    async def _asked(self, question: Callable[[], Awaitable[Any]], *, reads: bool) -> Any:
        turn = self._breaker.enter()
        try:
            answer = await question()
        except asyncio.CancelledError:
            self._breaker.silent(turn)
            raise
        except Exception as error:
            seen = translated(error, reads=reads)
            silence = isinstance(seen, Unavailable) and not isinstance(error, ANSWERS)
            (self._breaker.failed if silence else self._breaker.answered)(turn)
            raise seen from error
        self._breaker.answered(turn)
        return answer
