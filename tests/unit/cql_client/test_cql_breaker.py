"""Which failures of the database make a process ask it no more; that hanging ones do, tests/integration/test_cql.py sees."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import ConsistencyLevel, OperationTimedOut, ReadFailure, Unavailable, WriteFailure
from cassandra.cluster import NoHostAvailable

from cql_client import Cql
from runtime import errors
from runtime.breaker import LEAST

QUORUM = ConsistencyLevel.LOCAL_QUORUM


def cql_over(failure: Exception) -> Cql:
    """A session whose every question fails so."""

    class Failed:
        def add_callbacks(self, _: Any, fail: Any) -> None:
            fail(failure)

    session = SimpleNamespace(execute_async=lambda *_, **__: Failed())
    cluster = SimpleNamespace(metadata=None)
    opened: Any = SimpleNamespace(cluster=cluster, session=session, timestamps=SimpleNamespace(fixed=SimpleNamespace()))
    opened.keyspace = "tests"
    return Cql(opened)


async def refused_at_once(failure: Exception) -> bool:
    """Whether the database is not asked any more after it failed so many times."""
    cql = cql_over(failure)
    for _ in range(LEAST):
        with pytest.raises(errors.Unavailable):
            await cql._send(None, None)
    try:
        async with asyncio.timeout(10):
            await cql._send(None, None)
    except errors.Unavailable as error:
        return "cql does not answer" in error.detail
    raise AssertionError


@pytest.mark.parametrize("failure", [OperationTimedOut(), NoHostAvailable("nobody", {})])
async def test_a_database_that_does_not_answer_is_not_asked(failure: Exception) -> None:
    assert await refused_at_once(failure)


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("too few nodes", consistency=QUORUM, required_replicas=2, alive_replicas=1),
        WriteFailure("a node cannot", consistency=QUORUM),
        ReadFailure("too many tombstones", consistency=QUORUM),
    ],
)
async def test_a_database_that_answers_that_it_cannot_do_one_thing_is_asked_for_others(failure: Exception) -> None:
    """One partition that no quorum holds, or that no node can read, must not keep everybody from all the rest."""
    assert not await refused_at_once(failure)
