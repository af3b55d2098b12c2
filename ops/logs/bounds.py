"""Keeps the log files of a stack from filling the disk, however long it runs. Reading them is files.py."""

import contextlib
import shutil
from pathlib import Path


def older(log: Path) -> Path:
    """The one older generation of a log."""
    return log.with_name(log.name + ".1")


def cut_long(folder: Path, limit_bytes: int) -> None:
    """Move what stands in each log (`*.log`, `*.out`) over the limit to its older generation, whose contents go.

    The process goes on writing into the same file, which it opened for appending. What it writes between the last byte
    copied and the cut, some microseconds, is lost. Where the disk has no room for the copy, the log is left until it has.
    """
    for log in (*folder.glob("*.log"), *folder.glob("*.out")):
        # Raised by a full disk; nobody can add to the log then either.
        with contextlib.suppress(OSError):
            if log.stat().st_size > limit_bytes:
                _cut(log)


def _cut(log: Path) -> None:
    """Copy a log to its older generation and empty it."""
    target = older(log)
    # First, so that there is room for the copy.
    target.unlink(missing_ok=True)
    try:
        with log.open("rb+") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1024 * 1024)
            copy.flush()
            source.truncate(0)
    except OSError:
        target.unlink(missing_ok=True)
        raise
