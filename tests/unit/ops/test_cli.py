"""The `aviary` command as a person meets it."""

import argparse
from pathlib import Path

import pytest

from ops import cli, down
from stack.errors import StackError


def test_every_subcommand_of_the_table_can_be_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit) as caught:
            cli.main([command.name, "--help"])
        assert caught.value.code == 0
        assert command.summary in capsys.readouterr().out


def test_a_failure_is_one_line_below_its_detail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_arguments: argparse.Namespace) -> int:
        raise StackError("the port is taken: free it", detail="tail of a log")

    monkeypatch.setattr(down, "run", fail)
    assert cli.main(["down"]) == 1
    assert capsys.readouterr().err.splitlines() == ["tail of a log", "aviary: the port is taken: free it"]


def test_listing_or_stopping_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    assert cli.main(["down"]) == 0
    assert "nothing is running" in capsys.readouterr().out
    assert cli.main(["ps", "--json"]) == 1
    assert "aviary up" in capsys.readouterr().err


def test_logs_show_the_end_of_the_one_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "edge.log").write_text("one\ntwo\nthree\n", encoding="utf-8")
    assert cli.main(["logs", "edge", "-n", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["two", "three"]
    assert cli.main(["logs", "nobody"]) == 1
    assert "there are edge" in capsys.readouterr().err
