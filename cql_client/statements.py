"""Statements, what a conditional one answers, and what the driver's failures mean; sending them is session.py."""

import asyncio
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import cassandra
from cassandra import ConsistencyLevel, protocol
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException

from runtime.errors import Unavailable

Rows = list[tuple[Any, ...]]


class OutcomeUnknown(Unavailable):
    """A write was not acknowledged in time: it may or may not have been applied, now or later."""


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer of a conditional statement."""

    applied: bool
    row: dict[str, Any] | None
    """When it was not applied: the values that stood in the way, by column name; None when there is no row."""


class Consistency(IntEnum):
    """How many replicas must answer a single statement; a batch and a conditional statement have their own."""

    ONE = ConsistencyLevel.LOCAL_ONE
    """May miss what was acknowledged: for what no promise depends on."""
    QUORUM = ConsistencyLevel.LOCAL_QUORUM
    ALL = ConsistencyLevel.ALL
    """No replica is left that does not know it: for what makes sure that nothing older comes back."""


@dataclass(eq=False, slots=True)
class Statement:
    """A query with `?` for parameters. The server prepares it at the first use; it may be made before a session exists."""

    query: str
    consistency: Consistency = Consistency.QUORUM
    prepared: Any = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.query.lstrip()[:6].upper() == "SELECT"

    @property
    def conditional(self) -> bool:
        """Whether it is a lightweight transaction."""
        return not self.reads and " IF " in " ".join(self.query.upper().split())


_MISTAKES = (cassandra.RequestValidationException, protocol.RequestValidationException, cassandra.UnsupportedOperation)
ANSWERS = (cassandra.Unavailable, cassandra.CoordinationFailure)
"""Failures that a server which is well answers with at once: nodes that it needs are away, or cannot do just this."""
_AWAY = (cassandra.DriverException, NoHostAvailable, ConnectionException, protocol.ErrorMessage)


def translated(error: Exception, *, reads: bool) -> Exception:
    """What a caller shall see: `Unavailable` for reads, `OutcomeUnknown` for writes; mistakes in a statement stay what they are."""
    if isinstance(error, _MISTAKES) or not isinstance(error, _AWAY):
        return error
    text = f"the database did not answer ({type(error).__name__})"
    return Unavailable(text, retry_after_s=1) if reads else OutcomeUnknown(text, retry_after_s=1)
