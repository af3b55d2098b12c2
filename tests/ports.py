"""A port as a process of the mesh opens it, for servicers of a test's own: calls come one by one, or many on a stream."""

from collections.abc import Sequence
from typing import Any

from aviary.mesh.v1.line_pb2_grpc import add_LineServiceServicer_to_server
from grpc import aio

from coalesced import LineServicer
from runtime.guard import GuardInterceptor


class Port:
    """A gRPC server, and the lines that it serves. Servicers are added to this, the rest is done with `server`."""

    def __init__(self, interceptor: GuardInterceptor, options: Sequence[tuple[str, Any]] = ()) -> None:
        self.server = aio.server(interceptors=[interceptor], options=[("grpc.so_reuseport", 0), *options])
        self.lines = LineServicer(interceptor)
        add_LineServiceServicer_to_server(self.lines, self.server)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        self.server.add_registered_method_handlers(service_name, method_handlers)
        self.lines.add_registered_method_handlers(service_name, method_handlers)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self.server.add_generic_rpc_handlers(handlers)
