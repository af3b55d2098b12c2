"""The parts of the CQL session that need no server: row encoding, schema files, repeating a write."""

from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest, OperationTimedOut, ReadTimeout, WriteTimeout
from cassandra.cluster import NoHostAvailable
from cassandra.cqltypes import Int32Type, UTF8Type

from cql_client import OutcomeUnknown, Statement, until_acknowledged
from cql_client.migrations import statements
from cql_client.rows import BatchedByReplicaSet, routing_key, serialized
from cql_client.statements import translated
from runtime.errors import Unavailable


def prepared(*types: Any, key: list[int]) -> Any:
    columns = [SimpleNamespace(type=t) for t in types]
    return SimpleNamespace(column_metadata=columns, protocol_version=4, routing_key_indexes=key, query_id=b"q")


def test_rows_are_serialized_with_nulls_and_repeated_values() -> None:
    rows = [("a", 1), ("a", None), ("b", None), ("b", 2)]
    statement = prepared(UTF8Type, Int32Type, key=[0])
    encoded = [values for _, values in serialized((statement, row) for row in rows)]
    assert encoded == [[b"a", b"\0\0\0\1"], [b"a", None], [b"b", None], [b"b", b"\0\0\0\2"]]


def test_a_compound_routing_key_is_length_value_zero_of_each_part() -> None:
    assert routing_key(prepared(UTF8Type, key=[0]), [b"ab"]) == b"ab"
    assert routing_key(prepared(UTF8Type, UTF8Type, key=[1, 0]), [b"ab", b"c"]) == b"\0\1c\0\0\2ab\0"
    assert routing_key(prepared(UTF8Type, key=[]), [b"ab"]) is None


def test_rows_of_several_statements_keep_their_order_and_forget_nothing_of_one_another() -> None:
    one, other = prepared(UTF8Type, Int32Type, key=[0]), prepared(UTF8Type, key=[0])
    encoded = list(serialized([(one, ("a", 1)), (other, ("a",)), (one, ("b", 1))]))
    assert encoded == [(one, [b"a", b"\0\0\0\1"]), (other, [b"a"]), (one, [b"b", b"\0\0\0\1"])]


class Replicas:
    """Token metadata of two nodes: the first letter of a key says who has it."""

    def all_hosts(self) -> list[str]:
        return ["one", "two"]

    def get_replicas(self, keyspace: str, key: bytes) -> list[Any]:
        return [SimpleNamespace(endpoint=key[:1])]


async def test_rows_are_batched_by_replica_set_and_no_batch_is_longer_than_a_hundred() -> None:
    sent: list[list[bytes]] = []

    async def send(batch: Any, timestamp_us: int | None) -> None:
        assert timestamp_us == 5
        sent.append([values[0] for _, _, values in batch._statements_and_parameters])

    rows = [(f"{'xy'[n % 2]}{n}",) for n in range(250)]
    statement = prepared(UTF8Type, key=[0])
    await BatchedByReplicaSet(Replicas(), "k", send).write([(statement, row) for row in rows], 5)
    assert sorted(len(batch) for batch in sent) == [25, 25, 100, 100]
    assert all(len({key[:1] for key in batch}) == 1 for batch in sent)


async def test_a_batch_that_fails_is_raised_after_the_others_were_sent() -> None:
    sent: list[bytes] = []

    async def send(batch: Any, timestamp_us: int | None) -> None:
        sent.append(batch.routing_key)
        if len(sent) == 1:
            raise OutcomeUnknown("once")

    rows = [(f"{'xy'[n % 2]}{n}",) for n in range(10)]
    with pytest.raises(OutcomeUnknown):
        statement = prepared(UTF8Type, key=[0])
        await BatchedByReplicaSet(Replicas(), "k", send).write([(statement, row) for row in rows], None)
    assert len(sent) == 2


def test_a_schema_file_is_cut_at_semicolons_outside_of_comments() -> None:
    text = "-- one; not two\nCREATE a; // three;\n/* four;\n five; */ CREATE b;\n\n"
    assert list(statements(text)) == ["CREATE a", "CREATE b"]


def test_a_statement_knows_whether_it_reads_and_whether_it_is_conditional() -> None:
    assert Statement(" select a FROM b").reads
    insert = Statement("INSERT INTO a (b) VALUES (?)\n  IF NOT EXISTS")
    assert insert.conditional and not insert.reads
    assert not Statement("UPDATE a SET b = ? WHERE c = ?").conditional


@pytest.mark.parametrize(
    "error", [OperationTimedOut(), WriteTimeout("t", write_type=0), ReadTimeout("t"), NoHostAvailable("n", {})]
)
def test_a_server_that_does_not_answer_is_unavailable_and_a_write_is_of_unknown_outcome(error: Exception) -> None:
    read, write = translated(error, reads=True), translated(error, reads=False)
    assert isinstance(read, Unavailable) and not isinstance(read, OutcomeUnknown)
    assert isinstance(write, OutcomeUnknown) and write.retry_after_s == 1


def test_a_mistake_stays_what_it_is() -> None:
    for error in (InvalidRequest("i"), KeyError("k")):
        assert translated(error, reads=False) is error


async def test_a_write_is_repeated_until_it_is_acknowledged() -> None:
    tries = iter([OutcomeUnknown("a"), Unavailable("b"), None])

    async def write() -> str:
        if error := next(tries):
            raise error
        return "done"

    assert await until_acknowledged(write, 60) == "done"


async def test_a_write_that_is_never_acknowledged_is_unavailable() -> None:
    async def write() -> None:
        raise OutcomeUnknown("down")

    with pytest.raises(Unavailable, match="not acknowledged"):
        await until_acknowledged(write, 0.01)


async def test_a_mistaken_write_is_not_repeated() -> None:
    calls: list[int] = []

    async def write() -> None:
        calls.append(1)
        raise ValueError("mistake")

    with pytest.raises(ValueError, match="mistake"):
        await until_acknowledged(write, 60)
    assert len(calls) == 1
