"""A checkpoint is believed only for the very thing that was seeded."""

import dataclasses
from pathlib import Path

from ops.seed import dataset
from ops.seed.checkpoint import FILE, Checkpoint, Reached

DATA = dataset.load(everything=False)
REACHED = Reached(50, "0199f3a0-0000-7000-8000-000000000000")


def test_a_checkpoint_is_read_back(tmp_path: Path) -> None:
    checkpoint = Checkpoint.of(tmp_path, "aviary", b"d" * 16, DATA)
    assert checkpoint.read() is None
    checkpoint.write(REACHED)
    assert checkpoint.read() == REACHED


def test_a_checkpoint_of_something_else_is_none(tmp_path: Path) -> None:
    Checkpoint.of(tmp_path, "aviary", b"d" * 16, DATA).write(REACHED)
    other = dataclasses.replace(DATA, tweets=DATA.tweets[1:])
    assert Checkpoint.of(tmp_path, "two", b"d" * 16, DATA).read() is None
    assert Checkpoint.of(tmp_path, "aviary", b"e" * 16, DATA).read() is None
    assert Checkpoint.of(tmp_path, "aviary", b"d" * 16, other).read() is None


def test_a_damaged_checkpoint_is_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    assert Checkpoint.of(tmp_path, "aviary", b"d" * 16, DATA).read() is None
