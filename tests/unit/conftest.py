"""Unit tests need nothing: a test that opens a network socket belongs to another layer."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse every network socket."""
    create = socket.socket.__init__

    def refuse(self: socket.socket, family: int = -1, *rest: Any, **named: Any) -> None:
        if family in (-1, socket.AF_INET, socket.AF_INET6) and named.get("fileno") is None and len(rest) < 3:
            raise AssertionError("a unit test opens no socket: it belongs to tests/integration")
        create(self, family, *rest, **named)

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    yield
