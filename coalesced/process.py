"""A process of the mesh: what runtime/service.py has, and lines to and from others; everybody else has the ordinary port beside them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aviary.mesh.v1.line_pb2_grpc import add_LineServiceServicer_to_server
from google.protobuf.descriptor import FileDescriptor
from grpc import aio

from coalesced.channel import open_channel
from coalesced.serving import LineServicer
from runtime import service
from runtime.config import MeshConfig
from runtime.service import Configured

C = TypeVar("C", bound=Configured)


class MeshProcess(service.Process):
    """What `server.py` builds a service on: it calls other services over lines, and is called over them."""

    def __init__(self, config: MeshConfig) -> None:
        super().__init__(config)
        self._lines = LineServicer(self.interceptor)
        self.serve(add_LineServiceServicer_to_server, self._lines)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Part of a gRPC server's interface that generated code calls; what is registered is served on lines, too."""
        super().add_registered_method_handlers(service_name, method_handlers)
        self._lines.add_registered_method_handlers(service_name, method_handlers)

    def open_channel(self, address: str, *contracts: FileDescriptor) -> aio.Channel:
        """A channel to another service of the mesh, as this one. The caller closes it."""
        return open_channel(address, self.signer, *contracts, tls=self.tls)

    async def stop_serving(self) -> None:
        """Send new calls elsewhere, and wait for those at work, at most 5 s."""
        stopping = asyncio.ensure_future(super().stop_serving())
        # The server says first that it takes no more streams, so that clients who are told to leave do not come back.
        await asyncio.sleep(0)
        self._lines.leave()
        await stopping


def main(read_config: Callable[[Mapping[str, str]], C], build: Callable[[MeshProcess, C], Awaitable[None]]) -> None:
    """Entry of every `svc_*/server.py`: read the configuration, run the process, exit 2 with one line when it is wrong."""
    service.main(MeshProcess, read_config, build)
