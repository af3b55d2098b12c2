"""Reads the log files of a stack: their ends, in the order of time over all units, and what is added. Cutting them is bounds.py."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path

from ops.logs.bounds import older
from ops.logs.lines import Entry, parse

_BLOCK = 64 * 1024

Wanted = Callable[[Entry], bool]


def latest(
    logs: Mapping[Path, int | None], wanted: Wanted, count: int | None = None, since: float = 0.0
) -> list[Entry]:
    """The last `count` entries (None: all) of all the logs together that are wanted and not before `since`, in order.

    Each log is read up to a position, or whole.
    """
    found: list[Entry] = []
    for log, end in logs.items():
        young = takewhile(lambda entry: entry.at >= since, _backwards(log, end))
        found += list(islice(filter(wanted, young), count))[::-1]
    # Stable: what one unit wrote at one instant stays in its order.
    found.sort(key=lambda entry: entry.at)
    return found if count is None else found[len(found) - min(count, len(found)) :]


def _backwards(log: Path, end: int | None) -> Iterator[Entry]:
    """The entries of a log and of its older generation, the last first."""
    loose: list[str] = []
    at: float | None = None
    for line in chain(_lines_backwards(log, end), _lines_backwards(older(log), None)):
        entry = parse(log.stem, line)
        if entry is None:
            loose.append(line)
            continue
        at = entry.at
        if loose:
            yield from reversed(entry.continued("\n".join(reversed(loose))))
            loose.clear()
        else:
            yield entry
    if loose:
        # Nothing above them bears a time: they are as old as what follows, or as the file.
        yield Entry(at or log.stat().st_mtime, log.stem, logging.ERROR, "\n".join(reversed(loose)))


def _lines_backwards(path: Path, end: int | None) -> Iterator[str]:
    """The lines of a file before a position that are not empty, the last first; none when there is no such file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        position, rest = file.seek(0, os.SEEK_END) if end is None else end, b""
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            first, *lines = (file.read(size) + rest).split(b"\n")
            rest = first
            yield from (line.decode("utf-8", "replace") for line in reversed(lines) if line)
        if rest:
            yield rest.decode("utf-8", "replace")


@dataclass
class Tail:
    """What is added to one log, also over a cut."""

    log: Path
    position: int = 0
    """Where the next line begins that was not read."""

    @classmethod
    def at_end(cls, log: Path) -> "Tail":
        """From now on; a line that is being written counts as to come."""
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _BLOCK))
            return cls(log, size - len(file.read().rpartition(b"\n")[2]))

    def added(self) -> list[Entry]:
        """The entries whose lines are whole by now."""
        text = b""
        try:
            if self.log.stat().st_size < self.position:
                # It was cut, and has not grown by the length of a log since the last look. What we had not read stands at the
                # end of the older generation.
                text, self.position = _from(older(self.log), self.position), 0
            new = _from(self.log, self.position)
        except FileNotFoundError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        self.position += len(whole)
        return list(_entries(self.log.stem, (text + whole).decode("utf-8", "replace").splitlines(), self.log))


def _from(path: Path, position: int) -> bytes:
    """What stands in a file from there on."""
    with path.open("rb") as file:
        file.seek(position)
        return file.read()


def _entries(unit: str, lines: Sequence[str], log: Path) -> Iterator[Entry]:
    """The entries of some lines, in order."""
    current: Entry | None = None
    loose: list[str] = []

    def done() -> list[Entry]:
        if not loose:
            return [] if current is None else [current]
        text = "\n".join(loose)
        if current is None:
            return [Entry(log.stat().st_mtime, unit, logging.ERROR, text)]
        return current.continued(text)

    for line in filter(None, lines):
        entry = parse(unit, line)
        if entry is None:
            loose.append(line)
            continue
        yield from done()
        current, loose = entry, []
    yield from done()
