"""svc_user as the edge asks it about logins: what stands there, how it fails, and what it signals."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aviary.user.v1 import user_pb2, user_pb2_grpc
from aviary.user.v1.events_pb2 import AccountChange, AccountSignal
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.auth import TokenVerifier
from edge.sessions import Sessions
from in_process import InProcessChannel
from runtime.bus import Bus
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.context import ALL_SCOPES
from runtime.errors import Unavailable
from runtime.guard import Guard
from runtime.ids import Clock, SystemClock
from tests.unit.edge.tokens import signed

ACTIVE, SUSPENDED, DELETED = (
    user_pb2.USER_STATUS_ACTIVE,
    user_pb2.USER_STATUS_SUSPENDED,
    user_pb2.USER_STATUS_DELETED,
)
KEY = Ed25519PrivateKey.generate()


class Logins(user_pb2_grpc.UserServiceServicer):
    """The logins that stand: all there ever were, unless something else was said."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.away = False
        self.silent = False
        self.hold: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.ended: set[bytes] = set()
        self.owners: dict[bytes, bytes] = {}
        self.statuses: dict[bytes, user_pb2.UserStatus.ValueType] = {}
        self.roles: dict[bytes, int] = {}
        self._sequence = 0
        self._version = 0

    def token(self, user_id: bytes, scopes: tuple[str, ...] = ALL_SCOPES, expires_in_s: int = 900) -> tuple[str, bytes]:
        """A token of a new login of the account, and the login."""
        session_id = uuid.uuid4().bytes
        self.owners[session_id] = user_id
        return signed(KEY, user_id, session_id, scopes, expires_in_s), session_id

    async def GetSessions(self, request: Any, context: Any) -> user_pb2.GetSessionsResponse:
        self.asked.append(list(request.session_ids))
        if self.away:
            raise Unavailable("svc_user is away")
        states = [self._state(each) for each in request.session_ids if each not in self.ended]
        self.reached.set()
        if self.hold is not None:
            await self.hold.wait()
        return user_pb2.GetSessionsResponse(sessions=states)

    def end(self, *session_ids: bytes) -> AccountSignal:
        """End logins. Returns the signal, which tells nobody before it is heard."""
        self.ended.update(session_ids)
        self._sequence += 1
        return AccountSignal(publisher_id=b"p" * 16, sequence=self._sequence, ended_sessions=session_ids)

    def change(self, user_id: bytes, status: "user_pb2.UserStatus.ValueType" = ACTIVE, role: int = 0) -> AccountSignal:
        """Set the state of an account. Returns the signal, which tells nobody before it is heard."""
        self.statuses[user_id], self.roles[user_id] = status, role
        self._sequence += 1
        self._version += 1
        version = self._version
        change = AccountChange(
            user_id=user_id, version=version, status=status, role=role, status_version=version, role_version=version
        )
        return AccountSignal(publisher_id=b"p" * 16, sequence=self._sequence, changes=[change])

    def heartbeat(self) -> AccountSignal:
        """What is signalled every 250 ms."""
        return AccountSignal(publisher_id=b"p" * 16, sequence=self._sequence)

    def sessions(self, clock: Clock, monotonic: Callable[[], float], remembered: int = 50_000) -> Sessions:
        """The beliefs of one edge about these logins."""
        mesh = InProcessChannel(Guard(CallerSigner(Secret(b"m" * 32), "edge", SystemClock())), "edge")
        mesh.register(user_pb2_grpc.add_UserServiceServicer_to_server, self)
        tokens = TokenVerifier({"k1": KEY.public_key()}, clock)
        return Sessions(tokens, user_pb2_grpc.UserServiceStub(mesh), monotonic, remembered)

    async def beat(self, bus: Bus) -> None:
        """Heartbeats over a bus, unless silent, until cancelled."""
        while True:
            if not self.silent:
                await bus.signal(self.heartbeat())
            await asyncio.sleep(0.25)

    def _state(self, session_id: bytes) -> user_pb2.SessionState:
        user_id = self.owners.get(session_id, session_id)
        status, role = self.statuses.get(user_id, ACTIVE), self.roles.get(user_id, 0)
        return user_pb2.SessionState(session_id=session_id, user_id=user_id, status=status, role=role)


@asynccontextmanager
async def asking(sessions: Sessions) -> AsyncIterator[Sessions]:
    """Questions are asked in the block."""
    task = asyncio.create_task(sessions.run())
    try:
        yield sessions
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
