"""What the supervisor itself logs: one JSON line for each thing that happened to a unit. What it tells the terminal is not here."""

import contextlib
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

SUPERVISOR = "supervisor"


class Journal:
    """Appends to `supervisor.log` in the folder of the logs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{SUPERVISOR}.log"

    def note(self, unit: str, text: str, level: str = "info") -> None:
        """Write down one thing. A full disk loses it and ends nothing: the terminal was told, too."""
        assert level.upper() in logging.getLevelNamesMapping()
        fields = {"event": text, "unit": unit, "level": level, "timestamp": datetime.now(UTC).isoformat()}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(fields) + "\n")
