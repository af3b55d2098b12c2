"""A connection of the driver on the event loop, to a server that does as told: what it sends, and how it ends."""

import asyncio
import struct
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from cassandra import OperationTimedOut
from cassandra.connection import ConnectionShutdown, DefaultEndPoint
from cassandra.protocol import OptionsMessage

from cql_client.reactor import LoopThread
from tests.waiting import until

OPTIONS, STARTUP, READY, SUPPORTED = 0x05, 0x01, 0x02, 0x06
HEADER = struct.Struct(">BBhBi")
_NAMES = ((b"CQL_VERSION", b"3.4.5"), (b"COMPRESSION", b"lz4"))
SUPPORTS = b"\0\2" + b"".join(struct.pack(f">H{len(k)}sHH{len(v)}s", len(k), k, 1, len(v), v) for k, v in _NAMES)


class Server:
    """Shakes hands, unless it is dumb, and then only listens."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ended = asyncio.Event()
        self.dumb = False
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writer = writer
        try:
            while True:
                _, _, stream, opcode, length = HEADER.unpack(await reader.readexactly(HEADER.size))
                body = await reader.readexactly(length)
                if not self.dumb and opcode in (OPTIONS, STARTUP):
                    answer, said = (SUPPORTED, SUPPORTS) if opcode == OPTIONS else (READY, b"")
                    # In two pieces, of which the first is not a whole header.
                    whole = HEADER.pack(0x84, 0, stream, answer, len(said)) + said
                    writer.write(whole[:5])
                    await asyncio.sleep(0.001)
                    writer.write(whole[5:])
                else:
                    self.heard.append(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    yield server, listening.sockets[0].getsockname()[1]
    listening.close()


def connect(home: LoopThread, port: int, timeout_s: float = 5, **options: Any) -> Any:
    """A connection whose handshake is over. Blocks."""
    made = home.connection_class()
    return made.factory(DefaultEndPoint("127.0.0.1", port), timeout_s, protocol_version=4, compression=False, **options)


def message(number: int) -> bytes:
    return HEADER.pack(4, 0, number % 1000, 0x07, 40_000) + struct.pack(">i", number) * 10_000


async def test_messages_arrive_whole_and_in_the_order_in_which_a_thread_pushes_them(server: tuple[Server, int]) -> None:
    there, port = server
    connection = await asyncio.to_thread(connect, LoopThread(), port)

    def push() -> None:
        for number in range(50):
            connection.push(message(number))

    await asyncio.to_thread(push)
    push()
    await until(lambda: len(there.heard) == 100)
    assert [struct.unpack(">i", body[:4])[0] for body in there.heard] == [*range(50), *range(50)]
    connection.close()


@pytest.mark.parametrize("where", ["own", "other"])
async def test_a_connection_that_is_closed_fails_what_waits_and_says_good_bye_once(
    server: tuple[Server, int], where: str
) -> None:
    there, port = server
    connection = await asyncio.to_thread(connect, LoopThread(), port)
    there.dumb = True
    failed: list[Any] = []
    connection.send_msg(OptionsMessage(), connection.get_request_id(), failed.append)
    for _ in range(2):
        if where == "own":
            connection.close()
        else:
            await asyncio.to_thread(connection.close)
    await there.ended.wait()
    assert connection.is_closed and [type(one) for one in failed] == [ConnectionShutdown]
    with pytest.raises(ConnectionShutdown):
        connection.send_msg(OptionsMessage(), 1, failed.append)


async def test_what_waits_fails_when_the_server_goes_and_the_connection_is_defunct(server: tuple[Server, int]) -> None:
    there, port = server
    connection = await asyncio.to_thread(connect, LoopThread(), port)
    there.dumb = True
    failed: list[Any] = []
    connection.send_msg(OptionsMessage(), connection.get_request_id(), failed.append)
    await until(lambda: there.heard)
    assert there.writer is not None
    there.writer.close()
    await until(lambda: failed)
    assert isinstance(failed[0], ConnectionShutdown)
    # Not closed as well: its pool waits for a closed one, on the thread of who asks.
    assert connection.is_defunct and not connection.is_closed


async def test_a_server_that_does_not_answer_is_given_up_in_time(server: tuple[Server, int]) -> None:
    there, port = server
    there.dumb = True
    with pytest.raises(OperationTimedOut):
        await asyncio.to_thread(connect, LoopThread(), port, 0.2)
    await there.ended.wait()


async def test_nobody_waits_for_ever_for_an_answer(server: tuple[Server, int]) -> None:
    there, port = server
    connection = await asyncio.to_thread(connect, LoopThread(), port, 0.2)
    there.dumb = True
    with pytest.raises(OperationTimedOut):
        await asyncio.to_thread(connection.wait_for_response, OptionsMessage())
    connection.close()


async def test_tls_is_refused_rather_than_left_out(server: tuple[Server, int]) -> None:
    with pytest.raises(NotImplementedError):
        await asyncio.to_thread(connect, LoopThread(), server[1], ssl_options={"check_hostname": False})


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_outlives_its_loop_neither_hangs_nor_raises(run: Any) -> None:
    async def opened() -> Any:
        listening = await asyncio.start_server(Server().serve, "127.0.0.1", 0)
        return await asyncio.to_thread(connect, LoopThread(), listening.sockets[0].getsockname()[1])

    connection = run(opened())
    begun = time.monotonic()
    failed: list[Any] = []
    connection.send_msg(OptionsMessage(), connection.get_request_id(), failed.append)
    thread = threading.Thread(target=connection.close)
    thread.start()
    thread.join()
    connection.close()
    connection.defunct(OSError("gone"))
    assert len(failed) == 1 and time.monotonic() - begun < 1
