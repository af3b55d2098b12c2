"""Lets readers in, keeps their streams alive and ends them in time; what they are sent is the hub's matter."""

import asyncio
import itertools
from collections.abc import Collection
from dataclasses import dataclass

from aviary.mesh.v1 import reason_pb2

from edge.auth import Grant, TokenInvalid
from edge.policies import STREAM
from edge.sessions import Sessions
from edge.stream.attendance import Attendance
from edge.stream.catchup import CatchUp
from edge.stream.hub import Hub
from edge.stream.messages import StreamCursors
from edge.stream.socket import CLOSE_GOING_AWAY, Horizon, Socket, Wire
from edge.stream.tasks import Tasks
from edge.stream.watches import Watches
from runtime.errors import Unauthenticated, common
from runtime.ids import Clock
from runtime.policy import ensure_may_call

SWEEP_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Times of a stream, in seconds."""

    heartbeat_s: int = 25
    token_within_s: float = 5.0
    """How long a connection may stay without a token."""


class Doorkeeper:
    """Opens, renews and ends the streams of this process."""

    def __init__(
        self,
        sessions: Sessions,
        cursors: StreamCursors,
        horizon: Horizon,
        hub: Hub,
        catch_up: CatchUp,
        tasks: Tasks,
        attendance: Attendance,
        watches: Watches,
        clock: Clock,
        limits: StreamLimits,
    ) -> None:
        self.limits = limits
        self._sessions = sessions
        self._cursors = cursors
        self._horizon = horizon
        self._hub = hub
        self._catch_up = catch_up
        self.tasks = tasks
        self._attendance = attendance
        self._watches = watches
        # What sockets want to watch that have not been greeted yet: the first message is the greeting.
        self._early: dict[Socket, Collection[bytes]] = {}
        self._clock = clock
        self._sweeps = 0
        self._slots = itertools.count()
        self._slot_of: dict[Socket, int] = {}
        # By login and by account: both are ids that nothing else has.
        self._standing_on: dict[bytes, set[Socket]] = {}

    def identify(self, token: str) -> Grant:
        """Whose token it is, before anybody is asked. Raises TokenInvalid, TokenExpired, Unauthenticated for none, InsufficientScope."""
        if not token:
            raise Unauthenticated("a stream needs an access token")
        grant = self._sessions.verify(token)
        ensure_may_call(STREAM, grant.caller)
        return grant

    async def admit(self, token: str) -> Grant:
        """The right to a stream. Raises what `identify` raises, and what Sessions.admit does.

        It must be used before the next await: from `enter` or `renew` on an end of the login is an end of the stream.
        """
        self.identify(token)
        return await self._sessions.admit(token)

    def resume_ms(self, cursor: str, grant: Grant) -> int | None:
        """The time to continue from, None for no cursor. Raises InvalidCursor."""
        return self._cursors.open(cursor, grant.caller.user_id) if cursor else None

    def enter(self, wire: Wire, grant: Grant, since_ms: int | None) -> Socket:
        """Open the stream of a reader. The first message follows as soon as the mesh knows that the reader is here."""
        socket = Socket(wire, grant, self._cursors, self._horizon)
        self._slot_of[socket] = next(self._slots)
        self._stand(socket)
        self.tasks.spawn(self._arrive(socket, since_ms))
        return socket

    def leave(self, socket: Socket) -> None:
        """The connection is gone."""
        socket.closed = True
        self._early.pop(socket, None)
        self._watches.forget(socket)
        if self._slot_of.pop(socket, None) is not None:
            self._unstand(socket)
            self._hub.remove(socket)
            self.tasks.spawn(self._attendance.leave(socket.viewer))

    def renew(self, socket: Socket, grant: Grant) -> None:
        """Another token, of another login perhaps, for a stream that is open. Raises TokenInvalid for another user's."""
        if grant.caller.user_id != socket.viewer:
            raise TokenInvalid("the token is another user's")
        self._unstand(socket)
        socket.session_id, socket.expires_at_ms = grant.caller.session_id, grant.expires_at_ms
        self._stand(socket)

    def refused(self, who: bytes, reason: str) -> None:
        """A login or an account may do nothing any more: the streams that stand on it end."""
        for socket in list(self._standing_on.get(who, ())):
            socket.revoke(reason)

    def watch(self, socket: Socket, tweet_ids: Collection[bytes]) -> None:
        """The tweets whose counts a reader wants from now on."""
        if socket.greeted:
            self._watches.watch(socket, tweet_ids)
        else:
            self._early[socket] = tweet_ids

    async def run(self) -> None:
        """Sweep every second until cancelled; then say goodbye to everybody."""
        try:
            while True:
                self.sweep()
                await asyncio.sleep(SWEEP_EVERY_S)
        finally:
            for socket in list(self._slot_of):
                socket.close(CLOSE_GOING_AWAY, "RESTARTING")

    def sweep(self) -> None:
        """End streams whose token expired or whose other end is silent, send the heartbeats that are due, and have logins asked about
        that no signal vouches for.
        """
        self._hub.still_linked()
        self._sessions.check({socket.session_id for socket in self._slot_of})
        now_ms = self._clock.now_ms()
        self._sweeps += 1
        due = self._sweeps % self.limits.heartbeat_s
        for socket, slot in list(self._slot_of.items()):
            if socket.expires_at_ms <= now_ms:
                socket.revoke(common(reason_pb2.REASON_TOKEN_EXPIRED))
            elif slot % self.limits.heartbeat_s == due:
                if socket.heard:
                    socket.ping()
                else:
                    socket.close(CLOSE_GOING_AWAY, "NO_SIGN_OF_LIFE")

    def _stand(self, socket: Socket) -> None:
        for base in (socket.session_id, socket.viewer):
            self._standing_on.setdefault(base, set()).add(socket)

    def _unstand(self, socket: Socket) -> None:
        for base in (socket.session_id, socket.viewer):
            sockets = self._standing_on[base]
            sockets.discard(socket)
            if not sockets:
                del self._standing_on[base]

    async def _arrive(self, socket: Socket, since_ms: int | None) -> None:
        arrived = await self._attendance.arrive(socket.viewer)
        if socket.closed:
            return
        if since_ms is not None:
            socket.hold(since_ms)
        if not arrived:
            # Nothing is signalled before the reader is written down; then it is caught up with from here on.
            socket.hold(self._clock.now_ms())
        self._hub.add(socket)
        socket.hello(self.limits.heartbeat_s)
        if (early := self._early.pop(socket, None)) is not None:
            self._watches.watch(socket, early)
        if since_ms is not None:
            self._catch_up.start(socket, since_ms)
