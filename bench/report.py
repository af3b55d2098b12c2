"""Results as a table for readers and as JSON for programs; both hold the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from string import ascii_lowercase
from typing import Any

from bench.figures import Row
from bench.machine import Machine

_HEAD = "| what | unit | value | ceiling | × | aim | |\n|---|---|--:|--:|--:|--:|---|\n"


def as_json(machine: Machine, rows: Sequence[Row]) -> dict[str, Any]:
    """Everything, with what is computed."""
    return {"machine": asdict(machine), "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in rows]}


def as_markdown(machine: Machine, rows: Sequence[Row]) -> str:
    """A table for each benchmark, then by process what the values consist of."""
    load = ", ".join(f"{value:.1f}" for value in machine.load_average)
    head = (
        f"{machine.started_at}, {machine.system}, {machine.cores} cores, {machine.memory_mib / 1024:.0f} GiB,"
        f" Python {machine.python}, load average at the start {load}.\n\n"
        "Compare rows of one run; how to read them is in [README.md](../README.md).\n"
    )
    sections = [_section(name, list(some)) for name, some in groupby(rows, key=lambda row: row.benchmark)]
    return "\n".join(["# The path, measured\n", head, *sections])


def number(value: float | None) -> str:
    """Three digits that count; empty for nothing."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _section(name: str, rows: list[Row]) -> str:
    ceilings = list(dict.fromkeys(row.ceiling.what for row in rows if row.ceiling))
    letters = dict(zip(ceilings, ascii_lowercase, strict=False))
    parts = [_parts(row) for row in rows if row.parts]
    made_of = ["\nMade of:\n\n", "\n".join(parts), "\n"] if parts else []
    beside = ["\nCeilings: " + "; ".join(f"({letters[what]}) {what}" for what in ceilings) + ".\n"] if ceilings else []
    return "".join([f"## {name}\n\n", _HEAD, *(_line(row, letters) for row in rows), *beside, *made_of])


def _line(row: Row, letters: Mapping[str, str]) -> str:
    ceiling = f"{number(row.ceiling.value)} ({letters[row.ceiling.what]})" if row.ceiling else ""
    aim = f"< {number(row.aim)}" if row.aim is not None else ""
    verdict = {True: "met", False: "not met", None: ""}[row.met]
    return f"| {row.what} | {row.unit} | {number(row.value)} | {ceiling} | {number(row.ratio)} | {aim} | {verdict} |\n"


def _parts(row: Row) -> str:
    ordered = sorted(row.parts.items(), key=lambda part: -part[1])
    return f"- {row.what}: " + ", ".join(f"{name} {number(value)}" for name, value in ordered)
