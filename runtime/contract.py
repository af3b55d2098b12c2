"""What the generated descriptors say about rpcs and events, read once; the only place that knows our proto options."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from aviary.checks import CHECKS
from aviary.options.v1 import options_pb2
from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

_DEFAULT_DEADLINE_MS = 5000


@dataclass(frozen=True)
class Method:
    """One rpc: its names, message types and policy."""

    path: str
    service: str
    name: str
    request: type[Message]
    response: type[Message]
    access: int
    scope: str
    effect: int
    success: int
    deadline_s: float
    first: bool
    """Let in before the rest when a process has nearly too much to do."""
    http: HttpRule | None
    caller_fields: tuple[str, ...]
    defaults: tuple[tuple[str, int], ...]
    headers: tuple[tuple[str, str], ...]
    certain: Callable[[Any], bool]
    """Whether a request keeps every rule beyond doubt. What is in doubt protovalidate judges, at ten times the price."""


@dataclass(frozen=True)
class Event:
    """One event message: where it travels."""

    family: str
    name: str
    key: str
    kind: int
    message: type[Message]


@cache
def method(path: str) -> Method:
    """The rpc with the path `/package.Service/Rpc`. Raises KeyError when no contract has it."""
    service_name, _, name = path.removeprefix("/").partition("/")
    service: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(service_name)
    return _method(service.methods_by_name[name])


def methods(service_name: str) -> list[Method]:
    """Every rpc of a service, in the order of its file."""
    service: ServiceDescriptor = descriptor_pool.Default().FindServiceByName(service_name)
    return [method(f"/{service_name}/{m.name}") for m in service.methods]


def event(message: type[Message]) -> Event:
    """How a message travels over the bus. Raises ValueError when it is no event."""
    # The stubs deny that a message class can be hashed.
    return _event(cast(Any, message))


@cache
def _event(message: Any) -> Event:
    options = message.DESCRIPTOR.GetOptions().Extensions[options_pb2.event]
    if options.kind == options_pb2.EVENT_KIND_UNSPECIFIED:
        raise ValueError(f"{message.DESCRIPTOR.full_name} is no event: it lacks (aviary.options.v1.event)")
    return Event(options.family, options.name, options.key, options.kind, message)


def field_options(field: FieldDescriptor) -> options_pb2.FieldOptions:
    """Our options of a field, empty when it has none."""
    return field.GetOptions().Extensions[options_pb2.field]


def _method(descriptor: MethodDescriptor) -> Method:
    service = descriptor.containing_service
    options = descriptor.GetOptions()
    policy = options.Extensions[options_pb2.rpc]
    marked = [(f, field_options(f)) for f in descriptor.input_type.fields]
    return Method(
        path=f"/{service.full_name}/{descriptor.name}",
        service=service.full_name,
        name=descriptor.name,
        request=message_factory.GetMessageClass(descriptor.input_type),
        response=message_factory.GetMessageClass(descriptor.output_type),
        access=policy.access,
        scope=policy.scope,
        effect=policy.effect,
        success=policy.success or 200,
        deadline_s=(policy.deadline_ms or _DEFAULT_DEADLINE_MS) / 1000,
        first=policy.priority == options_pb2.PRIORITY_FIRST,
        http=options.Extensions[annotations_pb2.http] if options.HasExtension(annotations_pb2.http) else None,
        caller_fields=tuple(f.name for f, o in marked if o.is_caller),
        defaults=tuple((f.name, o.default_value) for f, o in marked if o.default_value),
        headers=tuple((f.name, o.header) for f, o in marked if o.header),
        certain=CHECKS.get(descriptor.input_type.full_name, lambda _: False),
    )
