"""The lines of each program's log, read as entries."""

import json
import logging
from datetime import UTC, datetime

import pytest

from ops.logs.lines import Entry, parse

NOON = datetime(2026, 5, 1, 12, 0, 0, 123000, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("unit", "line", "level", "text"),
    [
        ("cassandra", "2026-05-01 12:00:00,123 WARN  CommitLog slow sync", logging.WARNING, "CommitLog slow sync"),
        ("nats", "[4806] 2026/05/01 12:00:00.123000 [ERR] no space left", logging.ERROR, "no space left"),
        ("redis", "4806:M 01 May 2026 12:00:00.123 # out of memory", logging.WARNING, "out of memory"),
        ("redis", "4806:M 01 May 2026 12:00:00.123 * Ready to accept", logging.INFO, "Ready to accept"),
    ],
)
def test_each_server_says_when_how_bad_and_what(unit: str, line: str, level: int, text: str) -> None:
    entry = parse(unit, line)
    assert entry is not None
    assert (entry.level, entry.text) == (level, text)
    assert entry.at == pytest.approx(NOON, abs=0.0011)


def test_a_line_of_a_service_is_its_event_and_its_fields() -> None:
    fields = {"event": "fanout_done", "level": "info", "followers": 12, "service": "timeline"}
    entry = parse("svc_timeline", json.dumps({**fields, "timestamp": "2026-05-01T12:00:00.123000Z"}))
    assert entry == Entry(NOON, "svc_timeline", logging.INFO, "fanout_done followers=12", structured=True)


def test_an_exception_stands_below_its_event() -> None:
    fields = {
        "event": "rpc_failed",
        "level": "error",
        "exception": "Traceback:\n  a line",
        "timestamp": "2026-05-01T12:00:00Z",
    }
    entry = parse("svc_user", json.dumps(fields))
    assert entry is not None
    assert entry.text == "rpc_failed\nTraceback:\n  a line"
    assert entry.shown().splitlines() == [
        "2026-05-01T12:00:00.000Z svc_user     ERROR    rpc_failed",
        "    Traceback:",
        "      a line",
    ]


@pytest.mark.parametrize(
    "line",
    ["", "\tat java.base/Thread.run", '{"event": "cut by a full di', "[1, 2]", "{}", "2026-13-41 99:00:00,000 INFO x"],
)
def test_what_bears_no_time_begins_no_entry(line: str) -> None:
    assert parse("anything", line) is None


def test_a_stack_trace_belongs_to_the_line_of_its_server() -> None:
    entry = Entry(1.0, "cassandra", logging.WARNING, "failed")
    assert entry.continued("\tat here") == [Entry(1.0, "cassandra", logging.WARNING, "failed\n\tat here")]


def test_what_a_service_writes_past_its_log_is_an_error() -> None:
    entry = Entry(1.0, "edge", logging.INFO, "serving", structured=True)
    assert entry.continued("Traceback") == [entry, Entry(1.0, "edge", logging.ERROR, "Traceback")]
