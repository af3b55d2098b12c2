"""svc_graph over in-process channels with memory stores, a clock that is set, and an svc_user that knows a few accounts."""

import asyncio
import uuid
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pytest
from aviary.graph.v1.events_pb2 import FollowerSet, FollowSet
from aviary.graph.v1.graph_pb2 import FollowRequest, UnfollowRequest
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub, add_GraphServiceServicer_to_server
from aviary.user.v1.user_pb2 import GetUsersRequest, GetUsersResponse, User
from aviary.user.v1.user_pb2_grpc import UserServiceServicer, UserServiceStub, add_UserServiceServicer_to_server
from grpc import aio

from cursors import Cursors, parse_keys
from in_process import InProcessChannel
from readers.recent import Own
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller, acting
from runtime.errors import ServiceError, from_rpc
from runtime.faults import NO_FAULTS
from runtime.guard import Guard
from runtime.ids import Uuid7Ids
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from simulation.recent import RecordedWrites
from svc_graph.accounts import KnownAccounts
from svc_graph.deps import Deps
from svc_graph.domain import Edge, Pair
from svc_graph.servicer import GraphServicer
from svc_graph.store_memory import MemoryGraphStore
from svc_graph.turns import Turns

T = TypeVar("T")


class SetClock:
    """Stands where it is set, but for 2 us that pass whenever it is read."""

    def __init__(self) -> None:
        self.us = 1_760_000_000_000_000

    def now_ms(self) -> int:
        return self.us // 1000

    def now_us(self) -> int:
        self.us += 2
        return self.us


class FewUsers(UserServiceServicer):
    """Answers GetUsers for the accounts that it was given, and counts the calls."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self.calls = 0
        self.down = False

    async def GetUsers(self, request: GetUsersRequest, context: object) -> GetUsersResponse:
        self.calls += 1
        if self.down:
            raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "down")
        found = [i for i in request.user_ids if i in self.known]
        return GetUsersResponse(users=[User(user_id=str(uuid.UUID(bytes=i))) for i in found])


class UnhurriedStore(MemoryGraphStore):
    """Answers a while after it looked, as a server does: others may write in between."""

    async def edges(self, pairs: Sequence[Pair]) -> list[Edge]:
        found = await super().edges(pairs)
        await asyncio.sleep(0)
        return found


@dataclass
class Graph:
    """The service under test, and everything around it."""

    stub: Any
    """Called through the edge."""
    direct: Any
    """Called by nobody of the mesh."""
    users: FewUsers
    store: MemoryGraphStore
    recent: RecordedWrites
    clock: SetClock
    bus: MemoryBus
    ids: Uuid7Ids

    def account(self) -> uuid.UUID:
        """A new account that svc_user knows."""
        user_id = self.ids.next()
        self.users.known.add(user_id.bytes)
        return user_id

    @contextmanager
    def acting(self, user_id: uuid.UUID | None, scopes: tuple[str, ...] = ALL_SCOPES) -> Iterator[None]:
        """Calls of the block come from this user."""
        with acting(Caller(user_id=user_id.bytes, scopes=scopes) if user_id else Caller()):
            yield

    async def follow(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Follow, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(who):
            await self.stub.Follow(FollowRequest(followee_id=str(whom)))

    async def unfollow(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Unfollow, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(who):
            await self.stub.Unfollow(UnfollowRequest(followee_id=str(whom)))

    def own(self, user_id: uuid.UUID) -> Own:
        """What is recorded of the account's own writes."""
        return Own.of((kind, value) for who, kind, value in reversed(self.recent.seen) if who == user_id.bytes)

    def published(self) -> list[FollowSet]:
        """Every change so far, each once, as the follower's partition has it."""
        return [event for event in self.bus.published if isinstance(event, FollowSet)]

    def mirrored(self) -> list[FollowerSet]:
        """Every change so far, each once, as the followee's partition has it."""
        return [event for event in self.bus.published if isinstance(event, FollowerSet)]


async def build_graph() -> Graph:
    """A fresh one."""
    clock, users, recent, bus = SetClock(), FewUsers(), RecordedWrites(), MemoryBus("graph")
    await bus.declare([FollowSet, FollowerSet])
    outbox = MemoryOutbox(bus, clock)
    store = UnhurriedStore(outbox.write)
    guard = Guard(CallerSigner(Secret(b"k" * 32), "edge", clock))
    user_channel = InProcessChannel(guard, service="graph")
    user_channel.register(add_UserServiceServicer_to_server, users)
    deps = Deps(
        store=store,
        outbox=outbox,
        recent=recent,
        accounts=KnownAccounts(UserServiceStub(user_channel), size=100),
        turns=Turns(),
        cursors=Cursors(parse_keys("1:" + "ab" * 32), clock),
        clock=clock,
        faults=NO_FAULTS,
    )
    channel, outside = InProcessChannel(guard, service="edge"), InProcessChannel(guard)
    for one in (channel, outside):
        one.register(add_GraphServiceServicer_to_server, GraphServicer(deps))
    return Graph(
        GraphServiceStub(channel), GraphServiceStub(outside), users, store, recent, clock, bus, Uuid7Ids(clock)
    )


async def refusal(call: Awaitable[T]) -> ServiceError:
    """The failure of a call that must fail."""
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value)
