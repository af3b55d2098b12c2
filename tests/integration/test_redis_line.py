"""What the line says when Redis does not answer, and which of its errors mean what; a real Redis is asked in test_count_reads.py."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from redis_client.line import Line
from runtime.errors import Unavailable

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GREETED = b"+OK\r\n+PONG\r\n"


@asynccontextmanager
async def line_to(talk: Talk, silence_s: float = 60, options: str = "") -> AsyncIterator[Line]:
    """A line to a server that talks like this."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    line = Line(f"redis://{options}127.0.0.1:{server.sockets[0].getsockname()[1]}/0", silence_s)
    try:
        yield line
    finally:
        await line.aclose()
        server.close()


async def greets_and_hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1024)
    writer.write(GREETED)
    await reader.read(1024)
    writer.close()


async def accepts_and_is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1024):
        pass
    writer.close()


async def greets_and_is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1024)
    writer.write(GREETED)
    await accepts_and_is_silent(reader, writer)


async def knows_no_password(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1024)
    writer.write(b"-WRONGPASS invalid username-password pair\r\n" + GREETED)
    await reader.read(1024)
    writer.close()


async def test_nobody_listening_is_told_at_once_and_so_is_everybody_after() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        line = Line(f"redis://127.0.0.1:{taken.getsockname()[1]}/0", silence_s=60)
        for _ in range(3):
            with pytest.raises(Unavailable, match="Redis did not answer"):
                await line.ask(("GET", "a"))
        await line.aclose()


async def test_a_server_that_accepts_and_never_answers_is_away() -> None:
    async with line_to(accepts_and_is_silent, silence_s=0.01) as line:
        with pytest.raises(Unavailable, match="no answer in time"):
            await line.ask(("GET", "a"))


async def test_all_who_wait_are_told_when_a_server_falls_silent() -> None:
    async with line_to(greets_and_is_silent, silence_s=0.05) as line:
        answers = await asyncio.gather(*(line.ask(("GET", str(n))) for n in range(5)), return_exceptions=True)
        assert [str(each) for each in answers] == ["Redis did not answer (no answer in time)"] * 5


async def test_all_who_wait_are_told_when_the_connection_is_lost() -> None:
    async with line_to(greets_and_hangs_up) as line:
        answers = await asyncio.gather(*(line.ask(("GET", str(n))) for n in range(5)), return_exceptions=True)
        assert [str(each) for each in answers] == ["Redis did not answer (the connection was lost)"] * 5


async def test_a_password_that_is_wrong_is_named_in_the_error() -> None:
    async with line_to(knows_no_password, options=":guess@") as line:
        with pytest.raises(Unavailable, match="WRONGPASS invalid username-password pair"):
            await line.ask(("GET", "a"))


async def test_a_line_that_was_closed_refuses() -> None:
    async with line_to(greets_and_is_silent) as line:
        await line.aclose()
        with pytest.raises(Unavailable, match="Redis did not answer"):
            await line.ask(("GET", "a"))


async def test_asking_nothing_needs_no_server() -> None:
    line = Line("redis://127.0.0.1:1/0")
    assert await line.ask() == []
    await line.aclose()
