"""A DNS server of the tests' own on a port of 127.0.0.1: answers every name with the addresses that it is told to. Only what gRPC asks."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

_ADDRESS = 1
_ANSWER = 0x8180
_NAME_OF_QUESTION = 0xC00C


class Names(asyncio.DatagramProtocol):
    """Answers with `addresses`, which may change at any time; nobody may remember an answer."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.port = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        (kind,) = struct.unpack_from(">H", question, len(question) - 4)
        addresses = self.addresses if kind == _ADDRESS else []
        answers = b"".join(
            struct.pack(">HHHIH", _NAME_OF_QUESTION, _ADDRESS, 1, 0, 4) + socket.inet_aton(a) for a in addresses
        )
        head = data[:2] + struct.pack(">HHHHH", _ANSWER, 1, len(addresses), 0, 0)
        self._transport.sendto(head + question + answers, addr)


@contextlib.asynccontextmanager
async def names() -> AsyncIterator[Names]:
    """A server, gone after the block."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
