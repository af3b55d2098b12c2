"""Idempotency keys: what two requests with one key must have in common, and for how long; each service stores its own claims."""

import hashlib
from typing import cast

from aviary.mesh.v1 import reason_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from runtime.contract import field_options
from runtime.errors import AlreadyExists, common

KEPT_S = 24 * 3600
"""How long a user's key is remembered."""


class IdempotencyKeyReused(AlreadyExists):
    """The idempotency key was used before with another body."""

    reason = common(reason_pb2.REASON_IDEMPOTENCY_KEY_REUSED)


def digest(request: Message) -> bytes:
    """What two requests with one key must have in common: all but their headers and the name of who asks, which the claim is under."""
    content = type(request)()
    content.CopyFrom(request)
    described = cast(Descriptor, request.DESCRIPTOR)
    for field in described.fields:
        options = field_options(field)
        if options.header or options.is_caller:
            content.ClearField(field.name)
    return hashlib.sha256(content.SerializeToString(deterministic=True)).digest()


def ensure_same(claimed: bytes, wanted: bytes) -> None:
    """Refuse a request whose key stands for another digest. Raises IdempotencyKeyReused."""
    if claimed != wanted:
        raise IdempotencyKeyReused("the idempotency key was used before with another body")
