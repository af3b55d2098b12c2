"""A whole svc_user in memory behind an in-process channel, with a clock that tests move."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aviary.user.v1.apps_pb2_grpc import AppServiceStub, add_AppServiceServicer_to_server
from aviary.user.v1.events_pb2 import AccountSignal
from aviary.user.v1.user_pb2 import RegisterRequest, RegisterResponse
from aviary.user.v1.user_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc import aio

from cursors import Cursors
from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES, Caller
from runtime.errors import ServiceError, from_rpc
from runtime.faults import NO_FAULTS, Faults
from runtime.guard import Guard
from runtime.ids import Uuid7Ids
from signals.publisher import Publisher
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from simulation.recent import RecordedWrites
from svc_user.apps.servicer import AppServicer
from svc_user.deps import Deps
from svc_user.emails import Emails
from svc_user.guess_counts import LocalCounts
from svc_user.guesses import Guesses
from svc_user.passwords import common_passwords
from svc_user.servicer import UserServicer
from svc_user.store_apps_memory import MemoryAppStore
from svc_user.store_memory import MemoryUserStore
from svc_user.store_sessions_memory import MemorySessionStore
from svc_user.tokens import TokenIssuer
from tests.unit.svc_user.hashing import CheapHashing, passwords_by

SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
COMMON = common_passwords()
PASSWORD = "correct horse battery"
TEN_MINUTES_MS = 600_000
SERVICE = Caller(service="edge")


class SetClock:
    def __init__(self) -> None:
        self.ms = 1_750_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def now_us(self) -> int:
        return self.ms * 1000


class CallAt(Faults):
    """Does something at a fault point instead of dying there."""

    def __init__(self, point: str, action: Callable[[], None]) -> None:
        super().__init__()
        self._point = point
        self._action = action

    def at(self, point: str) -> None:
        if point == self._point:
            self._action()


class World:
    """svc_user, what it stands on, and a stub to call it."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.bus = MemoryBus()
        self.outbox = MemoryOutbox(self.bus, self.clock)
        self.store = MemoryUserStore(self.outbox.write)
        self.logins = MemorySessionStore(self.store)
        self.app_store = MemoryAppStore(self.clock)
        self.recent = RecordedWrites()
        # A fake that forgets nothing: a signal that the bus does not take costs no second, and none is too late.
        self.signals = Publisher(self.bus, AccountSignal, b"p" * 16, silence_noticed_s=0, remembered_s=math.inf)
        self.deps = Deps(
            store=self.store,
            logins=self.logins,
            apps=self.app_store,
            outbox=self.outbox,
            recent=self.recent,
            guesses=Guesses(LocalCounts(), self.logins, Secret(b"g" * 32), self.clock),
            passwords=passwords_by(CheapHashing(), waiting=100, common=COMMON),
            emails=Emails(Secret(b"e" * 32)),
            tokens=TokenIssuer(SIGNING_KEY, Secret(b"r" * 32), self.clock, access_s=900),
            signals=self.signals,
            cursors=Cursors({1: Secret(b"c" * 32)}, self.clock),
            clock=self.clock,
            ids=Uuid7Ids(self.clock),
            faults=NO_FAULTS,
            claim_abandoned_ms=TEN_MINUTES_MS,
            renames_allowed=3,
        )
        self.users = self._serve()

    def change(self, **ports: Any) -> None:
        """Use other ports from now on."""
        self.deps = replace(self.deps, **ports)
        self.users = self._serve()

    async def register(self, username: str = "alice", **fields: Any) -> RegisterResponse:
        """Register with a fitting e-mail address and password, unless others are given."""
        given = {"email": f"{username}@example.org", "password": PASSWORD, **fields}
        answer: RegisterResponse = await self.users.Register(RegisterRequest(username=username, **given))
        return answer

    def _serve(self) -> Any:
        channel = InProcessChannel(Guard(CallerSigner(Secret(b"m" * 32), "user", self.clock)))
        channel.register(add_UserServiceServicer_to_server, UserServicer(self.deps))
        channel.register(add_AppServiceServicer_to_server, AppServicer(self.deps))
        self.apps: Any = AppServiceStub(channel)
        return UserServiceStub(channel)


def signed_in(user_id: bytes, *scopes: str) -> Caller:
    return Caller(user_id=user_id, session_id=b"s" * 16, scopes=scopes or ALL_SCOPES, service="edge")


async def failure(call: Awaitable[object]) -> ServiceError:
    """How a call fails."""
    with pytest.raises(aio.AioRpcError) as raised:
        await call
    return from_rpc(raised.value)
