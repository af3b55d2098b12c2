"""JSON schemas of messages for the API's document, from descriptors, validation rules and comments; routes are openapi.py's part."""

from collections.abc import Iterable
from typing import Any

import protovalidate
from aviary.comments import COMMENTS
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from edge.json_codec.encode import TIMESTAMP
from edge.json_codec.names import choices, enum_names
from runtime.contract import field_options

Schema = dict[str, Any]

_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
_SIMPLE: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "integer", "minimum": 0},
}


class Schemas:
    """Schemas of answers, collected as named components while they are referred to."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def answer(self, message: Descriptor) -> Schema:
        """A reference to the schema of a message as we send it: every field is there, an absent one is null."""
        # The package aviary.view.v1 shows as `view.`: clients' generators make type names of it.
        name = message.full_name.removeprefix("aviary.").replace(".v1.", ".")
        if name not in self.components:
            self.components[name] = {}
            shown = [field for field in message.fields if not field_options(field).header]
            self.components[name] = {
                "type": "object",
                **described(message.full_name),
                "required": [field.name for field in shown],
                "properties": {field.name: self._answer_field(field) for field in shown},
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _answer_field(self, field: FieldDescriptor) -> Schema:
        nested = field.message_type
        if nested is not None:
            schema = dict(_TIME) if nested.full_name == TIMESTAMP else self.answer(nested)
        elif field.enum_type is not None:
            schema = {"type": "string", "enum": list(enum_names(field.enum_type).values())}
        else:
            schema = dict(_SIMPLE[field.cpp_type])
        if field.is_repeated:
            schema = {"type": "array", "items": schema}
        elif is_optional(field):
            schema = {"anyOf": [schema, {"type": "null"}]}
        return {**schema, **described(field.full_name)}


def taken(field: FieldDescriptor) -> Schema:
    """The schema of a field as we take it, with its limits and default."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.is_repeated:
        bounds = {"minItems": rules.repeated.min_items, "maxItems": rules.repeated.max_items}
        items = {**_one(field), **_limits(rules.repeated.items)}
        return {"type": "array", "items": items, **{name: value for name, value in bounds.items() if value}}
    schema = {**_one(field), **_limits(rules)}
    if default := field_options(field).default_value:
        schema["default"] = default
    return schema


def body(fields: Iterable[FieldDescriptor], required: set[str]) -> Schema:
    """The schema of a request body of these fields."""
    properties = {field.name: {**taken(field), **described(field.full_name)} for field in fields}
    needed = [name for name in properties if name in required]
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**schema, "required": needed} if needed else schema


def required_fields(message: type[Message]) -> set[str]:
    """Fields whose absence breaks a rule of the contract."""
    paths = [violation.proto.field for violation in protovalidate.collect_violations(message())]
    return {path.elements[0].field_name for path in paths if path is not None and path.elements}


def described(full_name: str) -> Schema:
    """The comment of the contract as a description, if it has one."""
    comment = COMMENTS.get(full_name)
    return {"description": comment} if comment else {}


def is_optional(field: FieldDescriptor) -> bool:
    """The contract says `optional`: a message without it is always there."""
    return field.has_presence and field.containing_oneof is not None


def _one(field: FieldDescriptor) -> Schema:
    if field.enum_type is not None:
        return {"type": "string", "enum": list(choices(field.enum_type))}
    if field.message_type is not None:
        return dict(_TIME)
    return dict(_SIMPLE[field.cpp_type])


def _limits(rules: validate_pb2.FieldRules) -> Schema:
    """What the rules of one value say, in words of JSON Schema. Bytes of text have no such word."""
    kind = rules.WhichOneof("type")
    limits: Schema = {}
    if kind == "string":
        text: Any = rules.string
        words = {"minLength": "min_len", "maxLength": "max_len", "pattern": "pattern"}
        limits = {word: getattr(text, name) for word, name in words.items() if text.HasField(name)}
        if text.uuid:
            limits["format"] = "uuid"
        elif text.email:
            limits["format"] = "email"
        if choice := list(getattr(text, "in")):
            limits["enum"] = choice
    elif kind == "uint32":
        number: Any = rules.uint32
        words = {"minimum": "gte", "maximum": "lte"}
        limits = {word: getattr(number, name) for word, name in words.items() if number.HasField(name)}
    return limits
