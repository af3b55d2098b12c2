"""One entry of a log, whoever wrote it: JSON of our processes, and the lines of Cassandra, NATS and Redis. Reads no file."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

LEVELS: Mapping[str, int] = {
    name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error", "critical")
}
# What the servers call them; NATS and Redis by a few letters.
_NAMES = {"trace": 10, "warn": 30, "fatal": 50, **LEVELS}
_NAMES |= {"trc": 10, "dbg": 10, "inf": 20, "wrn": 30, "err": 40, "ftl": 50, ".": 10, "-": 10, "*": 20, "#": 30}
_PLAIN = (
    (re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (\w+) +(.*)"), "%Y-%m-%d %H:%M:%S,%f"),
    (re.compile(r"\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}) \[(\w{3})\] (.*)"), "%Y/%m/%d %H:%M:%S.%f"),
    (re.compile(r"\d+:\w (\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) ([.*#-]) (.*)"), "%d %b %Y %H:%M:%S.%f"),
)
_SHOWN_APART = ("timestamp", "level", "service", "event", "exception")


@dataclass(frozen=True)
class Entry:
    """Something that was logged."""

    at: float
    """Epoch seconds."""
    unit: str
    level: int
    """As in `logging`."""
    text: str
    """One line, or several: a stack trace belongs to what it explains."""
    structured: bool = False
    """Written as JSON: what follows it without a time is none of its lines."""

    def shown(self) -> str:
        """For people: time in UTC, unit, level, text; further lines are indented."""
        time = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = logging.getLevelName(self.level)
        return f"{time} {self.unit:<12} {level:<8} " + self.text.replace("\n", "\n    ")

    def continued(self, lines: str) -> "list[Entry]":
        """The entry with the lines that stood below it without a time of their own.

        A process that writes JSON wrote them past its log, which is how a crash looks: they are an error for themselves.
        """
        if self.structured:
            return [self, Entry(self.at, self.unit, logging.ERROR, lines)]
        return [replace(self, text=f"{self.text}\n{lines}")]


def parse(unit: str, line: str) -> Entry | None:
    """The entry that begins with a line; None when it bears no time, as the further lines of a stack trace."""
    if line.startswith("{"):
        return _json(unit, line)
    for pattern, form in _PLAIN:
        match = pattern.match(line)
        if match is not None:
            time, level, text = match.groups()
            try:
                at = datetime.strptime(time, form).replace(tzinfo=UTC).timestamp()
            except ValueError:
                return None
            return Entry(at, unit, _NAMES.get(level.lower(), logging.INFO), text)
    return None


def _json(unit: str, line: str) -> Entry | None:
    """A line of structlog; None when it is none, or cut short by a full disk."""
    try:
        fields: Mapping[str, Any] = json.loads(line)
        at = datetime.fromisoformat(fields["timestamp"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None
    text = " ".join(
        [str(fields.get("event", ""))]
        + [f"{name}={value}" for name, value in fields.items() if name not in _SHOWN_APART]
    )
    if "exception" in fields:
        text += f"\n{fields['exception']}"
    return Entry(at, unit, _NAMES.get(str(fields.get("level", "info")).lower(), logging.INFO), text, structured=True)
