"""Encoders compiled from descriptors: a message becomes the values that orjson writes; reading JSON is decode.py's part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, TypeVar

import orjson
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from edge.json_codec import times
from edge.json_codec.names import enum_names
from runtime.contract import field_options

Encode = Callable[[Any], Any]
T = TypeVar("T")

TIMESTAMP = "google.protobuf.Timestamp"
_PLAIN = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_BOOL,
        FieldDescriptor.CPPTYPE_DOUBLE,
        FieldDescriptor.CPPTYPE_FLOAT,
    }
)


@dataclass(frozen=True, slots=True)
class Cached:
    """How JSON of a type is kept: `capacity` texts, without the `volatile` fields (the last ones of the type, two or more; or none)."""

    capacity: int
    volatile: tuple[str, ...] = ()


class Fragments:
    """Finished JSON of messages met before, by their bytes; messages of equal bytes are equal, so nothing here can be stale.

    Kept a second time is the text without what is volatile (counts), so that a changed count costs no new rendering.
    """

    def __init__(self, kind: Descriptor, encode: Encode, cached: Cached) -> None:
        self._kind = message_factory.GetMessageClass(kind)
        self._encode = encode
        self._names = cached.volatile
        self._values = attrgetter(*cached.volatile) if cached.volatile else None
        self._tail = lru_cache(maxsize=65_536)(self._volatile)
        self._whole: _Kept[orjson.Fragment] = _Kept(cached.capacity)
        self._stable: _Kept[bytes] = _Kept(cached.capacity)

    def __call__(self, message: Message) -> orjson.Fragment:
        """The JSON of the message."""
        key = message.SerializeToString()
        found = self._whole.get(key)
        return self._whole.put(key, orjson.Fragment(self._text(key, message))) if found is None else found

    def _text(self, key: bytes, message: Message) -> bytes:
        wire, text = self._tail(self._values(message)) if self._values else (b"", b"")
        if not text or not key.endswith(wire):
            # Nothing is cut off but what really stands there: fields that this edge's contracts do not have yet come last of all.
            return orjson.dumps(self._encode(message))
        stable = key[: len(key) - len(wire)]
        found = self._stable.get(stable)
        if found is None:
            values = self._encode(message)
            for name in self._names:
                del values[name]
            found = self._stable.put(stable, orjson.dumps(values)[:-1])
        return found + text

    def _volatile(self, values: tuple[Any, ...]) -> tuple[bytes, bytes]:
        """The volatile fields as they end the bytes of a message and its text."""
        fields = dict(zip(self._names, values, strict=True))
        return self._kind(**fields).SerializeToString(), b"," + orjson.dumps(fields)[1:]


class _Kept(Generic[T]):
    """Values by key: two generations of at most `capacity` each stand for a least-recently-used order."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def get(self, key: bytes) -> T | None:
        """The value, if it is still there; a hit in the young generation costs one look-up."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.put(key, found)
        return found

    def put(self, key: bytes, value: T) -> T:
        """Keep a value, and give it back."""
        if len(self._young) >= self._capacity:
            self._old, self._young = self._young, {}
        self._young[key] = value
        return value


class _EnumTable(dict[int, str]):
    """Names by number; a number that this edge's contracts do not have yet prints like the unspecified one."""

    def __init__(self, enum: EnumDescriptor) -> None:
        super().__init__(enum_names(enum))
        self._unspecified = self[0]

    def __missing__(self, number: int) -> str:
        return self._unspecified


class Encoder:
    """Encodes messages of any type; compiles each type once, when it is first asked for or reached.

    `cached` names message types whose JSON is kept. What travels in a header does not stand in the JSON.
    """

    def __init__(self, cached: Mapping[str, Cached] | None = None) -> None:
        self._cached = dict(cached or {})
        self._names: dict[str, str] = {}
        self._scope: dict[str, Any] = {"time_text": times.to_text}

    def of(self, message: Descriptor) -> Encode:
        """What turns messages of a type into values for orjson. Raises TypeError for a type that has no JSON form here."""
        encode: Encode = self._scope[self._compiled(message)]
        return encode

    def _compiled(self, message: Descriptor) -> str:
        """The name in scope of the encoder of a type."""
        if message.full_name == TIMESTAMP:
            return "time_text"
        known = self._names.get(message.full_name)
        if known is not None:
            return known
        # Named before its fields are looked at, so that a type may contain itself.
        self._names[message.full_name] = name = f"encode_{len(self._names)}"
        items = ", ".join(
            f"{field.name!r}: {self._value(field)}" for field in message.fields if not field_options(field).header
        )
        # Written out as source: one dict display costs half of a loop over getters. Only names of our descriptors get in.
        exec(f"def {name}(m):\n    return {{{items}}}\n", self._scope)
        if cached := self._cached.get(message.full_name):
            self._scope[name] = Fragments(message, self._scope[name], cached)
        return name

    def _value(self, field: FieldDescriptor) -> str:
        """The expression for a field of `m`."""
        one = self._one(field)
        if field.is_repeated:
            item = one("i")
            return f"list(m.{field.name})" if item == "i" else f"[{item} for i in m.{field.name}]"
        value = one(f"m.{field.name}")
        if field.has_presence:
            return f"{value} if m.HasField({field.name!r}) else None"
        return value

    def _one(self, field: FieldDescriptor) -> Callable[[str], str]:
        """The expression for one value of a field, given the expression that reads it."""
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                raise TypeError(f"{field.full_name}: maps have no JSON form here yet")
            name = self._compiled(field.message_type)
            return lambda read: f"{name}({read})"
        if field.enum_type is not None:
            table = f"enum_{field.enum_type.full_name.replace('.', '_')}"
            self._scope[table] = _EnumTable(field.enum_type)
            return lambda read: f"{table}[{read}]"
        if field.cpp_type in _PLAIN or field.type == FieldDescriptor.TYPE_STRING:
            return lambda read: read
        raise TypeError(f"{field.full_name}: bytes have no JSON form; public ids are strings")
