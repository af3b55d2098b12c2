"""Every full run as one JSON line, and what changed since the last one on such a machine; the newest run in full is in report.py."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Row
from bench.machine import Machine
from bench.report import number

NOTABLE = 0.15
"""Share by which a figure must differ from the last run's to be shown: below it lies what two runs of the same code differ by."""

_SAME_MACHINE = ("cores", "memory_mib", "system", "python")


@dataclass(frozen=True)
class Change:
    """A figure of two runs. `of` says what is compared: the ratio to the ceiling where there is one, else the value."""

    what: str
    of: str
    before: float
    now: float

    @property
    def share(self) -> float:
        """By how much it grew, 0.2 being a fifth; negative is better."""
        return self.now / self.before - 1


def append(path: Path, machine: Machine, rows: Sequence[Row]) -> None:
    """Add a run at the end of the file."""
    figures = {key: {"value": row.value, "ratio": row.ratio} for key, row in _keyed(rows)}
    run = {"started_at": machine.started_at, **_kind(machine), "load": machine.load_average[0], "figures": figures}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")


def last(path: Path, machine: Machine) -> Mapping[str, Any] | None:
    """The newest run on a machine of this kind; None without one."""
    if not path.exists():
        return None
    runs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return next((run for run in reversed(runs) if _kind(machine).items() <= run.items()), None)


def changes(before: Mapping[str, Any], rows: Sequence[Row]) -> list[Change]:
    """Figures that both runs have and that differ notably, the worst first."""
    return sorted(
        (change for change in _compared(before["figures"], rows) if abs(change.share) >= NOTABLE),
        key=lambda change: -change.share,
    )


def as_text(before: Mapping[str, Any] | None, rows: Sequence[Row]) -> str:
    """What to print under the table."""
    if before is None:
        return "No earlier run on such a machine to compare with.\n"
    found = changes(before, rows)
    head = f"Since the run of {before['started_at']} (load {before['load']:.1f}), by {NOTABLE:.0%} or more: "
    if not found:
        return head + "nothing.\n"
    lines = [f"  {c.share:+.0%}  {c.what}: {c.of} {number(c.before)} -> {number(c.now)}" for c in found]
    return "\n".join([head + "(+ is worse)", *lines]) + "\n"


def _compared(before: Mapping[str, Mapping[str, float | None]], rows: Sequence[Row]) -> Iterator[Change]:
    for key, row in _keyed(rows):
        old = before.get(key, {})
        # A ratio is free of most of what the machine did meanwhile; a bare value is all there is for some rows.
        of = "ratio" if row.ratio is not None and old.get("ratio") else "value"
        was, now = old.get(of), row.ratio if of == "ratio" else row.value
        if was and now is not None:
            yield Change(key, of, was, now)


def _keyed(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    for row in rows:
        if row.benchmark != "Beside this run":
            yield f"{row.benchmark}: {row.what}", row


def _kind(machine: Machine) -> dict[str, object]:
    return {name: getattr(machine, name) for name in _SAME_MACHINE}
