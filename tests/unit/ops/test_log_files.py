"""The logs of a stack: read in one order, followed over cuts, and kept short."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.logs.bounds import cut_long, older
from ops.logs.command import find, since_when
from ops.logs.files import Tail, latest
from ops.logs.journal import Journal
from ops.logs.lines import Entry
from stack.errors import StackError


def line(second: float, event: str) -> str:
    return json.dumps({"event": event, "level": "info", "timestamp": datetime.fromtimestamp(second, UTC).isoformat()})


def log(folder: Path, unit: str, *lines: str) -> Path:
    path = folder / f"{unit}.log"
    path.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    return path


def texts(entries: Sequence[Entry]) -> list[str]:
    return [entry.text for entry in entries]


def everything(_entry: Entry) -> bool:
    return True


def test_units_are_read_in_one_order_of_time(tmp_path: Path) -> None:
    logs = [
        log(tmp_path, "edge", line(1, "one"), line(4, "four")),
        log(tmp_path, "nats", "[7] 1970/01/01 00:00:02.000000 [INF] two"),
        log(tmp_path, "cassandra", "1970-01-01 00:00:03,000 ERROR three", "\tat somewhere", "\tat elsewhere"),
    ]
    entries = latest(dict.fromkeys(logs), everything)
    assert texts(entries) == ["one", "two", "three\n\tat somewhere\n\tat elsewhere", "four"]


def test_the_last_of_all_are_chosen_not_the_last_of_each(tmp_path: Path) -> None:
    logs = [
        log(tmp_path, "edge", *(line(n, f"edge {n}") for n in range(50))),
        log(tmp_path, "svc_user", line(1, "old")),
    ]
    assert texts(latest(dict.fromkeys(logs), everything, 2)) == ["edge 48", "edge 49"]


def test_nothing_before_since_is_shown(tmp_path: Path) -> None:
    logs = [log(tmp_path, "edge", *(line(n, str(n)) for n in range(50)))]
    assert texts(latest(dict.fromkeys(logs), everything, None, since=47.5)) == ["48", "49"]


def test_the_older_generation_is_read_too(tmp_path: Path) -> None:
    young = log(tmp_path, "edge", line(3, "three"))
    older(young).write_text(line(1, "one") + "\n" + line(2, "two") + "\n", encoding="utf-8")
    assert texts(latest({young: None}, everything)) == ["one", "two", "three"]


def test_a_crash_that_wrote_no_log_line_is_shown(tmp_path: Path) -> None:
    logs = [log(tmp_path, "svc_user", "configuration: AVIARY_USER_PORT is missing")]
    (entry,) = latest(dict.fromkeys(logs), everything)
    assert entry.text == "configuration: AVIARY_USER_PORT is missing"
    assert entry.at == pytest.approx(logs[0].stat().st_mtime)


def test_lines_longer_than_what_is_read_at_once_are_whole(tmp_path: Path) -> None:
    words = ["a" * 100_000, "b" * 70_000, "c"]
    logs = [log(tmp_path, "edge", *(line(n, word) for n, word in enumerate(words)))]
    assert texts(latest(dict.fromkeys(logs), everything)) == words


def test_what_is_added_is_followed_line_by_whole_line(tmp_path: Path) -> None:
    path = log(tmp_path, "edge", line(1, "before"))
    tail = Tail.at_end(path)
    assert tail.added() == []
    whole = line(2, "after")
    with path.open("a", encoding="utf-8") as file:
        file.write(whole[:10])
        file.flush()
        assert tail.added() == []
        file.write(whole[10:] + "\n")
        file.flush()
        assert texts(tail.added()) == ["after"]


def test_following_begins_before_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = log(tmp_path, "edge", line(1, "before"))
    whole = line(2, "half")
    with path.open("a", encoding="utf-8") as file:
        file.write(whole[:10])
        file.flush()
        tail = Tail.at_end(path)
        assert texts(latest({path: tail.position}, everything)) == ["before"]
        file.write(whole[10:] + "\n")
    assert texts(tail.added()) == ["half"]


def test_a_cut_is_followed_without_a_gap(tmp_path: Path) -> None:
    path = log(tmp_path, "edge", line(1, "read" * 100))
    tail = Tail.at_end(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(line(2, "before the cut") + "\n")
        file.flush()
        cut_long(tmp_path, limit_bytes=10)
        file.write(line(3, "after it") + "\n")
    assert texts(tail.added()) == ["before the cut", "after it"]


def test_a_long_log_is_cut_under_the_process_that_writes_it(tmp_path: Path) -> None:
    path = log(tmp_path, "edge", line(1, "one"))
    log(tmp_path, "svc_user", "x")
    handle = os.open(path, os.O_WRONLY | os.O_APPEND)
    for _ in range(3):
        os.write(handle, b"y" * 1000 + b"\n")
        cut_long(tmp_path, limit_bytes=500)
        assert path.stat().st_size == 0
        assert older(path).stat().st_size > 1000
    os.write(handle, b"z\n")
    os.close(handle)
    assert path.read_bytes() == b"z\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["edge.log", "edge.log.1", "svc_user.log"]


def test_the_supervisors_own_log_reads_as_the_others(tmp_path: Path) -> None:
    Journal(tmp_path / "logs").note("svc_user", "hung", "error")
    (entry,) = latest({tmp_path / "logs" / "supervisor.log": None}, lambda entry: entry.level >= 40)
    assert (entry.unit, entry.text) == ("supervisor", "hung unit=svc_user")


def test_ago_and_times_are_understood_and_others_refused_in_one_line() -> None:
    assert since_when("90s", 1000.0) == 910.0
    assert since_when("2h", 10_000.0) == 2800.0
    assert since_when("1970-01-01T00:01", 0.0) == 60.0
    assert since_when("1970-01-01T01:01+01:00", 0.0) == 60.0
    with pytest.raises(StackError, match="--since yesterday is no time"):
        since_when("yesterday", 0.0)


def test_no_logs_and_unknown_units_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="there are no logs"):
        find(tmp_path, None)
    path = log(tmp_path, "edge", "x")
    assert find(tmp_path, ["edge"]) == [path]
    with pytest.raises(StackError, match="there are edge"):
        find(tmp_path, ["nobody"])
