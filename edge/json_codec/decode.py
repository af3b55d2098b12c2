"""Decoders compiled from descriptors: parsed JSON fills a message, and every value that does not fit is named with its path."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from edge.json_codec.encode import TIMESTAMP
from edge.json_codec.scalars import Refused, from_json
from runtime.errors import FieldProblem

Fill = Callable[[Message, Any, str, list[FieldProblem]], None]

MAX_PROBLEMS = 20


class Decoder:
    """Fills messages of one type from a JSON object.

    `elsewhere` names top-level fields that are not taken from here, each with what to tell who sends one.
    """

    def __init__(self, message: Descriptor, elsewhere: Mapping[str, str] | None = None) -> None:
        self._elsewhere = dict(elsewhere or {})
        taken = [field for field in message.fields if field.name not in self._elsewhere]
        self._allowed = ", ".join(field.name for field in taken) or "none"
        self._fields: dict[str, Fill] | None = None
        self._taken = taken

    def fill(self, message: Message, value: object, path: str, problems: list[FieldProblem]) -> None:
        """Set the fields that an object names and note what does not fit. `path` is where the object stands, empty at the top.

        null stands for an absent field, as in our answers.
        """
        if not isinstance(value, dict):
            problems.append(FieldProblem(path or "body", "must be an object"))
            return
        if self._fields is None:  # compiled when first reached, so that a type may contain itself
            self._fields = {field.name: _filler(field) for field in self._taken}
        for name, item in value.items():
            if len(problems) >= MAX_PROBLEMS:
                return
            where = f"{path}.{name}" if path else name
            fill = self._fields.get(name)
            if fill is None:
                why = self._elsewhere.get(name, f"is not known here; known are: {self._allowed}")
                problems.append(FieldProblem(where[:200], why))
            elif item is not None:
                fill(message, item, where, problems)


def _filler(field: FieldDescriptor) -> Fill:
    nested = field.message_type
    if nested is not None and nested.full_name != TIMESTAMP:
        return (_message_list if field.is_repeated else _message)(field.name, Decoder(nested))
    return _scalar_list(field) if field.is_repeated else _scalar(field)


def _scalar(field: FieldDescriptor) -> Fill:
    convert, name, is_message = from_json(field), field.name, field.message_type is not None

    def fill(message: Message, value: Any, path: str, problems: list[FieldProblem]) -> None:
        try:
            converted = convert(value)
        except Refused as refused:
            problems.append(FieldProblem(path, str(refused)))
            return
        if is_message:
            getattr(message, name).CopyFrom(converted)
        else:
            setattr(message, name, converted)

    return fill


def _scalar_list(field: FieldDescriptor) -> Fill:
    convert, name = from_json(field), field.name

    def fill(message: Message, value: Any, path: str, problems: list[FieldProblem]) -> None:
        if not isinstance(value, list):
            problems.append(FieldProblem(path, "must be a list"))
            return
        target = getattr(message, name)
        for index, item in enumerate(value):
            try:
                target.append(convert(item))
            except Refused as refused:
                problems.append(FieldProblem(f"{path}[{index}]", str(refused)))
                return

    return fill


def _message(name: str, decoder: Decoder) -> Fill:
    def fill(message: Message, value: Any, path: str, problems: list[FieldProblem]) -> None:
        target = getattr(message, name)
        target.SetInParent()
        decoder.fill(target, value, path, problems)

    return fill


def _message_list(name: str, decoder: Decoder) -> Fill:
    def fill(message: Message, value: Any, path: str, problems: list[FieldProblem]) -> None:
        if not isinstance(value, list):
            problems.append(FieldProblem(path, "must be a list"))
            return
        target = getattr(message, name)
        for index, item in enumerate(value):
            decoder.fill(target.add(), item, f"{path}[{index}]", problems)
            if problems:
                return

    return fill
