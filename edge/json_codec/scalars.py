"""Single values of requests: what a field takes from JSON and from text in a path or query; messages are decode.py's part."""

import math
import re
from collections.abc import Callable
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

from edge.json_codec import times
from edge.json_codec.encode import TIMESTAMP
from edge.json_codec.names import choices

Convert = Callable[[Any], Any]

_WHOLE = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_BOUNDS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_RULES = (validate_pb2.Int32Rules, validate_pb2.Int64Rules, validate_pb2.UInt32Rules, validate_pb2.UInt64Rules)
_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


class Refused(Exception):
    """A value does not fit its field; the text says what is allowed."""


def from_json(field: FieldDescriptor) -> Convert:
    """What makes one value of a field out of parsed JSON; it raises Refused. TypeError for a field without a JSON form."""
    if field.cpp_type in _BOUNDS:
        return _whole(*_BOUNDS[field.cpp_type], "from {} to {}".format(*_allowed(field)))
    if field.cpp_type in _FLOATS:
        return _number
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return _bool
    if field.enum_type is not None:
        return _one_of(choices(field.enum_type))
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string
    if field.message_type is not None and field.message_type.full_name == TIMESTAMP:
        return _time
    raise TypeError(f"{field.full_name} has no JSON form")


def from_text(field: FieldDescriptor) -> Convert:
    """What makes one value of a field out of text; it raises Refused. TypeError for a field that text cannot fill."""
    convert = from_json(field)
    if field.cpp_type in _BOUNDS:
        return lambda text: convert(int(text) if _WHOLE.fullmatch(text) else text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda text: convert({"true": True, "false": False}.get(text, text))
    if field.cpp_type in _FLOATS:
        raise TypeError(f"{field.full_name}: numbers with fractions are not taken from text")
    return convert


def _allowed(field: FieldDescriptor) -> tuple[int, int]:
    """The bounds of the field's rules, or else of its type. Values between the two are refused by the guard."""
    low, high = _BOUNDS[field.cpp_type]
    rules = field.GetOptions().Extensions[validate_pb2.field]
    numbers = getattr(rules, rules.WhichOneof("type") or "", None)
    if isinstance(numbers, _RULES):
        low = numbers.gte if numbers.HasField("gte") else low
        high = numbers.lte if numbers.HasField("lte") else high
    return low, high


def _whole(low: int, high: int, said: str) -> Convert:
    def convert(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise Refused(f"must be a whole number {said}")

    return convert


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise Refused("must be a number")


def _bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Refused("must be true or false")


def _string(value: object) -> str:
    if isinstance(value, str):
        return value
    raise Refused("must be a string")


def _one_of(numbers: dict[str, int]) -> Convert:
    def convert(value: object) -> int:
        number = numbers.get(value) if isinstance(value, str) else None
        if number is None:
            raise Refused(f"must be one of {', '.join(numbers)}")
        return number

    return convert


def _time(value: object) -> Any:
    try:
        return times.from_text(value if isinstance(value, str) else "")
    except (ValueError, OverflowError):
        raise Refused("must be an RFC 3339 time such as 2026-01-31T12:00:00.000Z") from None
