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


def test_logs_of_the_units_asked_for_are_shown_from_a_level_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AVIARY_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for unit in ("cassandra", "cassandra-2"):
        lines = "".join(
            f"2026-05-01 12:00:0{n},000 {level} {unit}\n" for n, level in enumerate(("INFO", "WARN", "ERROR"))
        )
        (tmp_path / "logs" / f"{unit}.log").write_text(lines, encoding="utf-8")
    assert cli.main(["logs", "--unit", "cassandra", "--level", "warning"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-05-01T12:00:01.000Z cassandra    WARNING  cassandra",
        "2026-05-01T12:00:02.000Z cassandra    ERROR    cassandra",
    ]
    assert cli.main(["logs", "-n", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert cli.main(["logs", "--unit", "nobody"]) == 1
    assert "there are cassandra, cassandra-2" in capsys.readouterr().err
