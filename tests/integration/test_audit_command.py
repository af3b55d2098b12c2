"""What `aviary audit` says and how it ends when it cannot judge. What it says of a stack that answers is e2e's and chaos' matter."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from aviary.user.v1.user_pb2_grpc import UserServiceServicer, add_UserServiceServicer_to_server
from grpc import StatusCode

from ops import cli, secrets
from ops.state import RunRecord, start_time
from stack.ports import pick_free

AREAS = ("USER", "GRAPH", "TWEET", "TIMELINE", "ENGAGE", "VIEW")


class Users(UserServiceServicer):
    """An svc_user that is slow at first, and then refuses."""

    def __init__(self) -> None:
        self.says = [StatusCode.PERMISSION_DENIED, StatusCode.DEADLINE_EXCEEDED, StatusCode.DEADLINE_EXCEEDED]

    def ListUsers(self, request: Any, context: Any) -> NoReturn:
        context.abort(self.says.pop(), "not now")
        raise AssertionError


def at_home(home: Path, **addresses: str) -> None:
    """Make a stack run there of which the rest is not where it should be."""
    ports = pick_free(len(AREAS))
    others = {f"AVIARY_{area}_ADDRESS": f"127.0.0.1:{port}" for area, port in zip(AREAS, ports, strict=True)}
    secrets.load_or_make(home, {})
    started = start_time(os.getpid())
    assert started is not None
    RunRecord(os.getpid(), started, "nobody", {**others, **addresses}, http_port=1, state="ready").write(home)


@pytest.mark.parametrize(
    ("judged", "asked"),
    [
        ("--sample=100", "UserService.ListUsers failed: DEPENDENCY_UNAVAILABLE"),
        ("--counts", "MeshService.GetBacklog failed: DEPENDENCY_UNAVAILABLE"),
        ("--graph", "MeshService.GetBacklog failed: DEPENDENCY_UNAVAILABLE"),
    ],
)
def test_who_does_not_answer_is_named_and_is_no_difference(
    judged: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 is of homes, counts and lists that are wrong. What is logged on the way is not printed where the report would be."""
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    at_home(tmp_path)
    assert cli.main(["audit", judged, "--patience", "0"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert asked in told.err


def test_what_is_slow_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    server = grpc.server(ThreadPoolExecutor(1))
    add_UserServiceServicer_to_server(Users(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    at_home(tmp_path, AVIARY_USER_ADDRESS=f"127.0.0.1:{port}")
    try:
        assert cli.main(["audit"]) == 2
    finally:
        server.stop(None).wait()
    assert "UserService.ListUsers failed at each of 3 tries" in capsys.readouterr().err


def test_what_does_not_run_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    assert cli.main(["audit"]) == 2
    assert "aviary up" in capsys.readouterr().err
