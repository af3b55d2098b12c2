"""How `aviary admin` asks for a password and says what went wrong; what it does to accounts is tested end to end."""

import io
from pathlib import Path

import pytest
from aviary.user.v1 import reason_pb2

from ops import cli
from ops.admin import command
from runtime.channel import as_rpc_error
from runtime.errors import AlreadyExists, FieldProblem, InvalidArgument, ServiceError, named
from stack.errors import StackError


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    for name in ("AVIARY_USER_ADDRESS", "AVIARY_MESH_KEY", command.PASSWORD):
        monkeypatch.delenv(name, raising=False)


def test_a_password_is_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["admin", "create", "root", "--email", "r@example.org", "--password", "secret"])
    assert "unrecognized arguments" in capsys.readouterr().err


def test_the_password_comes_from_the_environment_or_from_what_is_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("piped in\nand more\n"))
    assert command.password() == "piped in"
    monkeypatch.setenv(command.PASSWORD, "of the environment")
    assert command.password() == "of the environment"


def test_without_a_password_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(StackError, match=command.PASSWORD):
        command.password()


def test_without_a_stack_the_command_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["admin", "suspend", "alice"]) == 1
    assert "aviary up" in capsys.readouterr().err


def test_every_action_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["admin", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {action.summary}" in shown for name, action in command.ACTIONS.items())


@pytest.mark.parametrize("account", ["", "@", "x" * 16, "no name", "é", "@@alice"])
async def test_what_is_no_name_is_asked_of_nobody(account: str) -> None:
    with pytest.raises(StackError, match="neither a username nor the id"):
        await command.account_id(account, users=None)


class UsernameTaken(AlreadyExists):
    """As svc_user raises it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_USERNAME_TAKEN)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (UsernameTaken("taken"), "somebody else has the username"),
        (InvalidArgument("no", fields=[FieldProblem("password", "must be longer")]), "password must be longer"),
    ],
)
def test_a_failure_says_what_to_do(failure: ServiceError, words: str) -> None:
    assert words in command.explained(as_rpc_error(failure))
