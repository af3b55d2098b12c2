"""svc_graph over in-process channels with memory stores, a clock that is set, and an svc_user that knows a few accounts."""

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pytest
from aviary.graph.v1.events_pb2 import BlockSet, FollowerSet, FollowSet, ReaderSignal, RelationChange, RelationSignal
from aviary.graph.v1.graph_pb2 import (
    BlockRequest,
    FollowRequest,
    MuteRequest,
    UnblockRequest,
    UnfollowRequest,
    UnmuteRequest,
)
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub, add_GraphServiceServicer_to_server
from aviary.timeline.v1.events_pb2 import ReaderSeen
from aviary.user.v1.events_pb2 import AccountChange, AccountSignal
from aviary.user.v1.user_pb2 import GetUsersRequest, GetUsersResponse, User, UserStatus
from aviary.user.v1.user_pb2_grpc import UserServiceServicer, UserServiceStub, add_UserServiceServicer_to_server
from grpc import aio

from accounts import Accounts, listen
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
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from simulation.recent import RecordedWrites
from svc_graph.accounts import KnownAccounts
from svc_graph.activity import Activity, ActivityLimits
from svc_graph.days_memory import MemoryReaderDays
from svc_graph.deps import Deps, Readers
from svc_graph.domain import Edge, Pair
from svc_graph.limits import STANCES, FollowLimits, StanceLimits
from svc_graph.servicer import GraphServicer
from svc_graph.stances import Relation
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
        self.suspended: set[bytes] = set()
        self.deleted: set[bytes] = set()
        self.calls = 0
        self.down = False
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        """Done once, when an answer is ready and not sent."""

    async def GetUsers(self, request: GetUsersRequest, context: object) -> GetUsersResponse:
        self.calls += 1
        if self.down:
            raise aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), "down")
        found = [i for i in request.user_ids if i in self.known]
        answer = GetUsersResponse(users=[User(user_id=str(uuid.UUID(bytes=i)), status=self._state(i)) for i in found])
        if self.before_answer is not None:
            before, self.before_answer = self.before_answer, None
            await before()
        return answer

    def _state(self, user_id: bytes) -> UserStatus.ValueType:
        if user_id in self.deleted:
            return UserStatus.USER_STATUS_DELETED
        return UserStatus.USER_STATUS_SUSPENDED if user_id in self.suspended else UserStatus.USER_STATUS_ACTIVE


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
    deps: Deps
    now: "SetSeconds"
    """What caches that believe signals take for the time."""
    signalled: int = 0

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

    async def block(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Block, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(who):
            await self.stub.Block(BlockRequest(user_id=str(whom)))

    async def unblock(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Unblock, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(who):
            await self.stub.Unblock(UnblockRequest(user_id=str(whom)))

    async def mute(self, who: uuid.UUID, whom: uuid.UUID, seconds: int | None = None) -> None:
        """Mute, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(who):
            await self.stub.Mute(MuteRequest(user_id=str(whom), duration_s=seconds))

    async def unmute(self, who: uuid.UUID, whom: uuid.UUID) -> None:
        """Unmute, a millisecond after whatever came before."""
        self.clock.us += 1000
        with self.acting(who):
            await self.stub.Unmute(UnmuteRequest(user_id=str(whom)))

    async def hear_accounts(self, *changed: uuid.UUID) -> None:
        """Signals of svc_user arrive for a second, and nothing is lost: of changes, if any, then that it lives."""
        self.signalled += bool(changed)
        signal = AccountSignal(publisher_id=b"u" * 16, sequence=self.signalled)
        signal.changes.extend(AccountChange(user_id=one.bytes) for one in changed)
        for _ in range(2):
            await self.bus.signal(signal)
            self.now.seconds += 0.5
            del signal.changes[:]

    def told(self) -> list[RelationChange]:
        """Everything that caches were told so far."""
        return [
            change for signal in self.bus.signals if isinstance(signal, RelationSignal) for change in signal.changes
        ]

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


class SetSeconds:
    """Seconds that pass when they are added to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def build_graph(follow_limit: int = 5000, stance_limits: Mapping[Relation, int] = STANCES) -> Graph:
    """A fresh one."""
    now = SetSeconds()
    clock, users, recent, bus = SetClock(), FewUsers(), RecordedWrites(), MemoryBus("graph")
    await bus.declare([FollowSet, FollowerSet, BlockSet, ReaderSeen])
    outbox = MemoryOutbox(bus, clock)
    store = UnhurriedStore(outbox.write)
    guard = Guard(CallerSigner(Secret(b"k" * 32), "edge", clock))
    user_channel = InProcessChannel(guard, service="graph")
    user_channel.register(add_UserServiceServicer_to_server, users)
    accounts = Accounts(UserServiceStub(user_channel), now, 100, profiles=False)
    await listen(accounts, bus)
    days = MemoryReaderDays(clock, ActivityLimits().kept_days)
    activity = Activity(days, clock, ActivityLimits(), now)
    await bus.listen(ReaderSignal, activity.heard)
    returns = Publisher(bus, ReaderSignal, b"r" * 16, silence_noticed_s=0, remembered_s=math.inf)
    deps = Deps(
        store=store,
        outbox=outbox,
        recent=recent,
        signals=Publisher(bus, RelationSignal, b"p" * 16, silence_noticed_s=0, remembered_s=math.inf),
        accounts=KnownAccounts(accounts),
        limits=FollowLimits(store, follow_limit),
        stance_limits=StanceLimits(store, stance_limits),
        turns=Turns(),
        cursors=Cursors(parse_keys("1:" + "ab" * 32), clock),
        readers=Readers(days, activity, returns),
        clock=clock,
        faults=NO_FAULTS,
    )
    channel, outside = InProcessChannel(guard, service="edge"), InProcessChannel(guard)
    for one in (channel, outside):
        one.register(add_GraphServiceServicer_to_server, GraphServicer(deps))
    return Graph(
        GraphServiceStub(channel),
        GraphServiceStub(outside),
        users,
        store,
        recent,
        clock,
        bus,
        Uuid7Ids(clock),
        deps,
        now,
    )


async def refusal(call: Awaitable[T]) -> ServiceError:
    """The failure of a call that must fail."""
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value)
