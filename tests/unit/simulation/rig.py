"""Two simulated processes: one that serves users, and one that calls it; a test says what the service answers."""

from collections.abc import Awaitable, Callable
from typing import Any

from aviary.user.v1 import user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceServicer, UserServiceStub, add_UserServiceServicer_to_server

from simulation.dice import Dice
from simulation.history import History
from simulation.loop import SimulatedLoop
from simulation.network import Network, Wire
from simulation.node import Node


class Users(UserServiceServicer):
    """Answers as told, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.before: Callable[[], Awaitable[None]] | None = None

    async def GetUsers(self, request: user_pb2.GetUsersRequest, context: object) -> user_pb2.GetUsersResponse:
        self.calls += 1
        if self.before is not None:
            await self.before()
        return user_pb2.GetUsersResponse()

    async def Register(self, request: user_pb2.RegisterRequest, context: object) -> user_pb2.RegisterResponse:
        self.calls += 1
        if self.before is not None:
            await self.before()
        return user_pb2.RegisterResponse()


class Rig:
    """The two and what is between them."""

    def __init__(self, seed: int = 1) -> None:
        self.loop = SimulatedLoop()  # type: ignore[abstract]
        self.dice = Dice(seed)
        self.history = History(self.loop.time)
        self.network = Network(self.loop, self.dice)
        self.users: Any = Users()  # type: ignore[abstract]
        self.caller = self.node("caller#1")
        wire = Wire(self.network, "user", self.caller.signer, user_pb2.DESCRIPTOR)
        self.stub = UserServiceStub(wire)

    def node(self, name: str) -> Node:
        """A process that serves nothing yet."""
        return Node(name, self.loop, self.dice, self.history, 0)

    def serving(self, name: str = "user#1") -> Node:
        """A process that serves users."""
        node = self.node(name)
        node.serve(add_UserServiceServicer_to_server, self.users)
        self.network.join(node)
        return node

    def run(self, main: Callable[[], Awaitable[Any]]) -> Any:
        """Run it in virtual time."""

        async def whole() -> Any:
            return await main()

        return self.loop.run(whole())
