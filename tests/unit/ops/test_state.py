"""Who holds a home, and what a run writes down."""

import json
import os
import stat
from pathlib import Path

import pytest

from ops import running, secrets
from ops.serve import check_disk
from ops.state import PID_FILE, ProcessRecord, RunRecord, hold, is_alive, start_time, supervisor_of
from stack.errors import StackError


def own_record(**changes: object) -> RunRecord:
    started = start_time(os.getpid())
    assert started is not None
    record = RunRecord(os.getpid(), started, "aviary", {"AVIARY_NATS_URL": "nats://x"}, 8080, "ready")
    record.processes = [ProcessRecord("redis", "server", 7, 1.5, {"redis": 6379}, "ready")]
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def test_a_reused_pid_is_another_process() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert is_alive(os.getpid(), started)
    assert not is_alive(os.getpid(), started - 60)
    assert not is_alive(None, started)


def test_a_home_is_held_once(tmp_path: Path) -> None:
    with hold(tmp_path):
        assert supervisor_of(tmp_path) == os.getpid()
        with pytest.raises(StackError, match=r"already running.*aviary down.*AVIARY_HOME") as caught, hold(tmp_path):
            pass
        assert "\n" not in caught.value.line
    assert supervisor_of(tmp_path) is None


def test_the_file_of_a_dead_supervisor_is_taken_over(tmp_path: Path) -> None:
    started = start_time(os.getpid())
    assert started is not None
    (tmp_path / PID_FILE).write_text(json.dumps({"pid": os.getpid(), "started": started - 60}), encoding="utf-8")
    assert supervisor_of(tmp_path) is None
    with hold(tmp_path):
        assert supervisor_of(tmp_path) == os.getpid()


def test_a_damaged_pid_file_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / PID_FILE).write_text("{", encoding="utf-8")
    with hold(tmp_path):
        assert supervisor_of(tmp_path) == os.getpid()


def test_a_run_is_read_back_as_written_and_for_its_owner_only(tmp_path: Path) -> None:
    record = own_record()
    record.write(tmp_path)
    assert RunRecord.read(tmp_path) == record
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o600


def test_a_cut_or_foreign_record_reads_as_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"pid": 1', encoding="utf-8")
    assert RunRecord.read(tmp_path) is None
    (tmp_path / "run.json").write_text('{"pid": 1, "processes": []}', encoding="utf-8")
    assert RunRecord.read(tmp_path) is None


def test_other_programs_find_addresses_and_secrets(tmp_path: Path) -> None:
    made = secrets.load_or_make(tmp_path, {})
    own_record().write(tmp_path)
    found = running.load(tmp_path)
    assert found.http_url == "http://127.0.0.1:8080"
    assert found.environment() == {"AVIARY_NATS_URL": "nats://x", **made}
    assert found.process("redis").ports == {"redis": 6379}
    assert made[secrets.MESH_KEY] not in repr(found)


def test_a_stack_that_died_is_not_found(tmp_path: Path) -> None:
    own_record(started=1.0).write(tmp_path)
    with pytest.raises(StackError, match="aviary up"):
        running.load(tmp_path)


def test_too_little_disk_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"MB are free in .*make room"):
        check_disk(tmp_path, needed_mb=10**9)
