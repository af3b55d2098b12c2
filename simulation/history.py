"""What happened in a run, noted cheaply and written out only when somebody wants to read it. Judges nothing."""

import uuid
from collections.abc import Callable
from itertools import islice
from typing import Any

from google.protobuf.message import Message

from runtime.contract import event

Note = tuple[float, str, str, tuple[Any, ...]]


class History:
    """Lines of (time, who, what, values); ids appear under the short names that they were given."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._notes: list[Note] = []
        self._names: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def note(self, who: str, what: str, *values: Any) -> None:
        """Remember a line. Values are formatted when the history is read."""
        self._notes.append((self._time(), who, what, values))

    def name(self, key: bytes, name: str) -> None:
        """Call an id by a short name."""
        self._names[key] = name

    def named(self, value: Any) -> str:
        """A value as it is shown."""
        if isinstance(value, uuid.UUID):
            return self.named(value.bytes)
        if isinstance(value, bytes):
            if value in self._names or len(value) <= 16:
                return self._names.get(value, value.hex()[-6:] or "-")
            return " ".join(self.named(value[start : start + 16]) for start in range(0, len(value), 16))
        if isinstance(value, Message):
            return self._message(value)
        if isinstance(value, (list, tuple, set, frozenset)):
            return "[" + " ".join(map(self.named, value)) + "]"
        return str(value)

    def lines(self) -> list[str]:
        """The whole history, readable."""
        return [
            f"{at:9.3f}  {who:<12} {what} {' '.join(map(self.named, values))}".rstrip()
            for at, who, what, values in self._notes
        ]

    def about(self, keys: "set[bytes]", most: int) -> list[str]:
        """The last lines that name one of the ids."""
        names = {self.named(key) for key in keys}
        found = [line for line in self.lines() if names & set(line.replace("[", " ").replace("]", " ").split())]
        return list(islice(found, max(0, len(found) - most), None))

    def _message(self, message: Message) -> str:
        values = (getattr(message, field.name) for field in message.DESCRIPTOR.fields if field.name.endswith("_id"))
        ids = [self.named(v) for v in values if isinstance(v, bytes) and v]
        return f"{event(type(message)).name}({' '.join(ids[1:] or ids)})"
