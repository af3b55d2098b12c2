"""The load client reads one answer after the other from a stream of bytes, and refuses what it was not made for."""

import asyncio
from unittest.mock import Mock

import pytest

from bench.http_client import Connection, get, post


def connection(answers: bytes) -> Connection:
    reader = asyncio.StreamReader()
    reader.feed_data(answers)
    reader.feed_eof()
    return Connection(reader, Mock(spec=asyncio.StreamWriter))


async def test_answers_on_one_connection_are_told_apart() -> None:
    answers = (
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 201 Created\r\nX: y\r\nContent-Length: 0\r\n\r\n"
    )
    open_connection = connection(answers)
    assert await open_connection.ask(b"") == (200, b"abc")
    assert await open_connection.ask(b"") == (201, b"")


async def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        await connection(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ask(b"")


async def test_an_answer_that_is_cut_off_is_an_error() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await connection(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").ask(b"")


def test_requests_carry_the_token_and_name_their_length() -> None:
    assert get("h", "/p", "t") == b"GET /p HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer t\r\n\r\n"
    assert post("h", "/p", "t", b"{}").endswith(b"Content-Length: 2\r\n\r\n{}")
