"""Ids at the border: text outside, 16 bytes inside. What an id stands for is not known here."""

import uuid


def text_id(raw: bytes) -> str:
    """16 bytes as a UUID string."""
    return str(uuid.UUID(bytes=raw))


def raw_id(text: str) -> bytes:
    """A UUID string as 16 bytes; empty stays empty. The contract has validated the text."""
    return uuid.UUID(text).bytes if text else b""


def parsed_id(text: str) -> bytes | None:
    """A UUID string as 16 bytes, or None when the text is none in its usual form of 36 characters."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value.bytes if str(value) == text.lower() else None
