"""The generated checks let through exactly the requests that protovalidate does, at each edge of each rule."""

import re
from collections.abc import Iterator
from typing import Any

import protovalidate
import pytest
from aviary.checks import CHECKS
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from runtime import contract
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller
from runtime.contract import Method
from runtime.errors import InvalidArgument
from runtime.guard import Guard
from runtime.ids import SystemClock
from tests.contract.contracts import services

RPCS = [rpc for service in services() for rpc in contract.methods(service.full_name)]
CHECKED = [rpc for rpc in RPCS if rpc.request.DESCRIPTOR.full_name in CHECKS]
UUID = "0190A0a0-0000-7000-8000-00000000000f"
TEXTS = ["", "a", UUID, UUID + "\n", UUID[:-1], UUID + "0", UUID.replace("-", ""), "٣" + UUID[1:], "latest"]


@pytest.mark.parametrize("rpc", CHECKED, ids=lambda rpc: rpc.request.DESCRIPTOR.full_name)
def test_a_check_says_of_every_edge_of_every_rule_what_protovalidate_says(rpc: Method) -> None:
    best = whole(rpc.request)
    assert keeps(best)
    assert rpc.certain(best)
    for field in rpc.request.DESCRIPTOR.fields:
        for value in values(field):
            request = rpc.request()
            request.CopyFrom(best)
            put(request, field, value)
            assert rpc.certain(request) == keeps(request), (field.name, value)


def test_rules_that_only_protovalidate_knows_leave_a_request_to_it() -> None:
    unknown = {rpc.name for rpc in RPCS} - {rpc.name for rpc in CHECKED}
    assert {"Register", "CreateTweet"} <= unknown
    assert not any(rpc.certain(rpc.request()) for rpc in RPCS if rpc.name in unknown)


@pytest.mark.parametrize("name", ["GetHome", "CreateTweet"])
async def test_a_request_that_breaks_a_rule_never_reaches_its_rpc_whether_or_not_it_has_a_check(name: str) -> None:
    rpc = next(rpc for rpc in RPCS if rpc.name == name and rpc.service != "aviary.view.v1.ViewService")
    bad = {"GetHome": {"user_id": b"short"}, "CreateTweet": {"idempotency_key": "x" * 65}}[name]

    async def reached(*_: Any) -> Message:
        raise AssertionError("an rpc was reached by a request that its contract forbids")

    guard = Guard(CallerSigner(Secret(b"k" * 32), "tests", SystemClock()))
    caller = Caller(bytes(16), bytes(16), ALL_SCOPES, "tests")
    with pytest.raises(InvalidArgument) as raised:
        await guard.run(rpc, reached, rpc.request(**bad), caller, 1.0, "")
    assert next(iter(bad)) in {problem.field for problem in raised.value.fields}


def keeps(message: Message) -> bool:
    return not protovalidate.collect_violations(message)


def whole(kind: type[Message]) -> Any:
    """A message whose every field has a value that is allowed."""
    message: Any = kind()
    for field in kind.DESCRIPTOR.fields:
        for value in values(field):
            alone: Any = kind()
            put(alone, field, value)
            if value and not any(v.proto.field.elements[0].field_name == field.name for v in violations(alone)):
                put(message, field, value)
                break
    return message


def violations(message: Message) -> list[Any]:
    return list(protovalidate.collect_violations(message))


def values(field: FieldDescriptor) -> Iterator[Any]:
    """Values at, below and above every number that the field's rules name, and some that are odd."""
    numbers = {int(n) + more for n in re.findall(r"\b\d+\b", str(field.GetOptions())) for more in (-1, 0, 1)} | {
        0,
        1,
        2,
    }
    counts = sorted(n for n in numbers if 0 <= n <= 5000)
    if not field.is_repeated:
        yield from singles(field, counts)
        return
    yield []
    for item in singles(field, [n for n in counts if n < 70]):
        for count in (n for n in counts if 0 < n <= 1001):
            yield [item] * count
    usual = {FieldDescriptor.TYPE_BYTES: b"x" * 16, FieldDescriptor.TYPE_STRING: UUID}.get(field.type)
    if usual is not None:
        yield from ([usual, item] for item in singles(field, counts))


def singles(field: FieldDescriptor, counts: list[int]) -> list[Any]:
    if field.message_type is not None:
        kind: Any = field.message_type._concrete_class
        if not field.message_type.full_name.startswith("aviary."):
            return [kind()]
        found = [kind(), whole(kind)]
        for inner in field.message_type.fields:
            for value in values(inner):
                changed = whole(kind)
                put(changed, inner, value)
                found.append(changed)
        return found
    if field.type == FieldDescriptor.TYPE_BYTES:
        return [b"x" * n for n in counts]
    if field.type == FieldDescriptor.TYPE_STRING:
        return [*TEXTS, *("é" * n for n in counts), *("x" * n for n in counts)]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return [False, True]
    return [n for n in counts if field.type != FieldDescriptor.TYPE_ENUM or n < 3]


def put(message: Any, field: FieldDescriptor, value: Any) -> None:
    message.ClearField(field.name)
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)
