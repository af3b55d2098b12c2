"""On an ordinary port, too, nobody reaches the code of an rpc that is not open to all."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from aviary.options.v1 import options_pb2
from grpc import aio

from runtime import contract
from runtime.callers import CALLER_KEY, CallerSigner
from runtime.config import Secret
from runtime.contract import Method
from runtime.guard import Guard, GuardInterceptor
from runtime.ids import SystemClock
from tests.contract.contracts import services

RPCS = [rpc for service in services() for rpc in contract.methods(service.full_name)]
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[aio.Channel]:
    """A channel without caller values to a port that serves every contract, and one that nobody wrote."""
    server = aio.server(interceptors=[GuardInterceptor(Guard(CallerSigner(Secret(b"k" * 32), "tests", SystemClock())))])

    async def reached(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.DATA_LOSS, "reached")

    for rpc in RPCS:
        handler = grpc.unary_unary_rpc_method_handler(
            reached, rpc.request.FromString, lambda answer: answer.SerializeToString()
        )
        server.add_registered_method_handlers(rpc.service, {rpc.name: handler})
    stray = grpc.unary_unary_rpc_method_handler(reached)
    server.add_registered_method_handlers("elsewhere.v1.Stray", {"Do": stray})
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{number}") as channel:
        yield channel
    await server.stop(0)


async def status(channel: aio.Channel, path: str, *metadata: tuple[str, bytes]) -> grpc.StatusCode:
    with pytest.raises(aio.AioRpcError) as raised:
        await channel.unary_unary(path)(b"", metadata=metadata, timeout=20)
    return raised.value.code()


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
async def test_nobody_reaches_an_rpc_that_is_not_open_to_all(port: aio.Channel, rpc: Method) -> None:
    assert (await status(port, rpc.path) in REFUSED) == (rpc.access != options_pb2.ACCESS_ANONYMOUS)


@pytest.mark.parametrize("value", [b"", b"x", b"x" * 32, b"\x00" * 500], ids=["empty", "short", "a mac", "long"])
async def test_a_worthless_caller_value_is_no_defect_and_no_free_pass(port: aio.Channel, value: bytes) -> None:
    for rpc in RPCS:
        assert await status(port, rpc.path, (CALLER_KEY, value)) is grpc.StatusCode.UNAUTHENTICATED


async def test_what_has_no_contract_is_not_served(port: aio.Channel) -> None:
    assert await status(port, "/elsewhere.v1.Stray/Do") is not grpc.StatusCode.DATA_LOSS
