"""Probes of the supervisor: whatever answers on a port is a reason, and no crash."""

import asyncio

from ops.topology import probe_readyz


async def test_something_on_the_port_that_speaks_no_http_is_a_reason_and_ends_nobody() -> None:
    """Another program took the port first: ours says that it cannot listen, and the supervisor goes on."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reason = await asyncio.to_thread(probe_readyz(server.sockets[0].getsockname()[1]))
    server.close()
    assert reason is not None
    assert "no HTTP there" in reason
