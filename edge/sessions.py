"""Whether the login behind a token still stands: believed while svc_user is heard, asked otherwise. Signatures are auth.py's part."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from aviary.user.v1 import reason_pb2
from aviary.user.v1.events_pb2 import AccountChange, AccountSignal
from aviary.user.v1.user_pb2 import (
    USER_STATUS_ACTIVE,
    USER_STATUS_SUSPENDED,
    GetSessionsRequest,
    SessionState,
)
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub
from grpc import aio
from prometheus_client import Counter

from edge.auth import Grant, TokenInvalid, TokenVerifier
from runtime import telemetry
from runtime.context import NOBODY, OWN_SCOPE, acting
from runtime.errors import PermissionDenied, Unavailable, named
from signals.epochs import Epochs

FRESH_S = 0.9
"""What svc_user said is good for so long while its signals are not heard. Less than it waits, when nobody can be told of an end, before
it answers (`signals.publisher.SILENCE_NOTICED_S`): then no edge believes what it said before the end.
"""
PATIENCE_S = 0.5
"""How long a request waits for svc_user to say again what was believed before."""
ASK_WITHIN_S = 2.0
AWAY_S = 3.0
"""After a question without an answer nobody who was believed waits for the next one, for so long: longer than one takes to fail."""
REST_S = 0.25
"""Between two questions while svc_user does not answer."""
_BATCH = 400
_LOGINS = 50_000
_ENDED = 100_000

ASKED = Counter("aviary_edge_sessions_asked_total", "Logins that svc_user was asked for.", ["outcome"])

log = telemetry.logger(__name__)

Refused = Callable[[bytes, str], None]


class AccountSuspended(PermissionDenied):
    """The account behind the token is suspended: nothing may be done with it."""

    reason = named(reason_pb2.Reason, reason_pb2.REASON_ACCOUNT_SUSPENDED)


@dataclass(slots=True)
class _Login:
    """What is known of a login that had not ended."""

    user_id: bytes
    status: int
    role: int
    epoch: int | None
    """The epoch in which it is true without asking."""
    confirmed_at: float
    status_version: int = 0
    """Of the latest status that was heard; one that was written earlier and comes later says nothing."""
    role_version: int = 0


class Sessions:
    """The logins whose tokens came by.

    A genuine token is let in when its login was seen alive in the epoch of svc_user's signals that stands; the first sight, and
    whatever an epoch does not vouch for, is asked in batches, one at a time. What was believed stays believed while svc_user does
    not answer (then nobody can end a login there); a login that was never seen is then not let in.
    """

    def __init__(
        self,
        tokens: TokenVerifier,
        users: UserServiceAsyncStub,
        monotonic: Callable[[], float],
        remembered: int = _LOGINS,
    ) -> None:
        """`run` must be running for questions to be asked, and `heard` be told every AccountSignal."""
        self._tokens = tokens
        self._users = users
        self._now = monotonic
        self._remembered = remembered
        self._epochs = Epochs(monotonic, AccountSignal)
        self._logins: dict[bytes, _Login] = {}
        self._of: dict[bytes, set[bytes]] = {}
        self._ended: dict[bytes, None] = {}
        self._questions: dict[bytes, asyncio.Future[None]] = {}
        self._queue: deque[bytes] = deque()
        self._wanted = asyncio.Event()
        self._touched: set[bytes] = set()
        """Accounts that were signalled while a question was under way: its answer may be older."""
        self._unanswered_at = -math.inf
        """When svc_user was last found not to answer; it has not answered since."""
        self._watchers: list[Refused] = []

    def verify(self, token: str) -> Grant:
        """What a genuine token says, wherever its login stands. Raises TokenInvalid, TokenExpired."""
        return self._tokens.verify(token)

    async def admit(self, token: str) -> Grant:
        """Who may act with the token, with the role that the account has now.

        Raises TokenInvalid (also for a login that has ended), TokenExpired, AccountSuspended, and Unavailable when nobody can say.
        """
        grant = self._tokens.verify(token)
        session_id = grant.caller.session_id
        login = self._logins.get(session_id)
        if login is None or login.epoch is None or login.epoch != self._epochs.epoch():
            login = await self._settled(session_id, login)
        if login.status != USER_STATUS_ACTIVE:
            raise _refusal(login.status)
        if login.role and OWN_SCOPE in grant.caller.scopes:
            # An app acts for its user, not with the user's office.
            return Grant(replace(grant.caller, role=login.role), grant.expires_at_ms)
        return grant

    def watch(self, refused: Refused) -> Callable[[], None]:
        """Call back with the id of a login, or of an account, that may do nothing from now on, and why. Call the result to stop."""
        self._watchers.append(refused)
        return partial(self._watchers.remove, refused)

    def check(self, session_ids: Iterable[bytes]) -> None:
        """Ask for those of the logins that nothing vouches for now; of ended ones the watchers are told."""
        epoch, stale = self._epochs.epoch(), self._now() - FRESH_S
        for session_id in session_ids:
            login = self._logins.get(session_id)
            if login is None or ((login.epoch is None or login.epoch != epoch) and login.confirmed_at < stale):
                self._ask(session_id, urgent=False)

    async def heard(self, signal: AccountSignal) -> None:
        """A signal of svc_user arrived."""
        self._epochs.heard(signal)
        for session_id in signal.ended_sessions:
            self._end(session_id)
        for change in signal.changes:
            self._changed(change)

    async def run(self) -> None:
        """Ask what is to be asked, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._queue:
                    await self._ask_batch([self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))])
        finally:
            self._done(list(self._questions))

    async def _settled(self, session_id: bytes, login: _Login | None) -> _Login:
        """The login as svc_user says, or as it was known while svc_user is away."""
        if session_id in self._ended:
            raise _refusal(None)
        if login is not None and self._now() - login.confirmed_at < FRESH_S:
            return login
        question = self._ask(session_id, urgent=login is None)
        if login is None or self._now() - self._unanswered_at > AWAY_S:
            await asyncio.wait([question], timeout=None if login is None else PATIENCE_S)
        if session_id in self._ended:
            raise _refusal(None)
        login = self._logins.get(session_id, login)
        if login is None:
            raise Unavailable("whether this login still stands cannot be asked now", retry_after_s=1)
        return login

    def _ask(self, session_id: bytes, urgent: bool) -> asyncio.Future[None]:
        """The question about a login; one that is under way is shared. It is done when there is an answer, or none to be had."""
        question = self._questions.get(session_id)
        if question is None:
            question = self._questions[session_id] = asyncio.get_running_loop().create_future()
            (self._queue.appendleft if urgent else self._queue.append)(session_id)
            self._wanted.set()
        return question

    async def _ask_batch(self, session_ids: list[bytes]) -> None:
        self._touched.clear()
        epoch, asked_at = self._epochs.epoch(), self._now()
        try:
            with acting(NOBODY, ASK_WITHIN_S):
                answer = await self._users.GetSessions(GetSessionsRequest(session_ids=session_ids))
        except aio.AioRpcError as error:
            ASKED.labels("unanswered").inc(len(session_ids))
            log.warning("sessions_not_asked", logins=len(session_ids), error=str(error.code()))
            self._unanswered_at = self._now()
            # Whoever waits further back would wait for the same.
            self._queue.clear()
            self._done(list(self._questions))
            await asyncio.sleep(REST_S)
            return
        self._unanswered_at = -math.inf
        ASKED.labels("answered").inc(len(session_ids))
        found = {state.session_id: state for state in answer.sessions}
        again = self._learn(session_ids, found, epoch, asked_at)
        self._done(each for each in session_ids if each not in again)
        self._queue.extend(again)

    def _learn(
        self, session_ids: list[bytes], found: Mapping[bytes, SessionState], epoch: int | None, asked_at: float
    ) -> set[bytes]:
        """Keep what was answered; returns the logins of which it may be older than what was heard meanwhile."""
        again = set()
        for session_id in session_ids:
            state = found.get(session_id)
            if state is None:
                self._end(session_id)
            elif session_id in self._ended:
                continue
            elif state.user_id in self._touched:
                again.add(session_id)
            else:
                # The answer is no older than what was heard, and what comes late is no later for it.
                heard = self._logins.get(session_id)
                versions = (heard.status_version, heard.role_version) if heard else (0, 0)
                self._keep(session_id, _Login(state.user_id, state.status, state.role, epoch, asked_at, *versions))
                if state.status != USER_STATUS_ACTIVE:
                    self._tell(session_id, _refusal(state.status).reason)
        return again

    def _changed(self, change: AccountChange) -> None:
        """An account changed. What the signal says is kept for when svc_user cannot be asked; asked it is, since signals of two of its
        processes come in any order.
        """
        self._touched.add(change.user_id)
        logins = [self._logins[session_id] for session_id in self._of.get(change.user_id, ())]
        for login in logins:
            if change.status_version >= login.status_version:
                login.status, login.status_version = change.status, change.status_version
            if change.role_version >= login.role_version:
                login.role, login.role_version = change.role, change.role_version
            login.epoch, login.confirmed_at = None, -math.inf
        if change.status != USER_STATUS_ACTIVE and all(login.status == change.status for login in logins):
            self._tell(change.user_id, _refusal(change.status).reason)

    def _end(self, session_id: bytes) -> None:
        """The login has ended, for ever."""
        self._drop(session_id)
        if session_id not in self._ended:
            if len(self._ended) >= _ENDED:
                # One that is forgotten is asked again.
                for old in list(self._ended)[: _ENDED // 2]:
                    del self._ended[old]
            self._ended[session_id] = None
            self._tell(session_id, TokenInvalid.reason)

    def _keep(self, session_id: bytes, login: _Login) -> None:
        self._drop(session_id)
        if len(self._logins) >= self._remembered:
            self._drop(next(iter(self._logins)))
        self._logins[session_id] = login
        self._of.setdefault(login.user_id, set()).add(session_id)

    def _drop(self, session_id: bytes) -> None:
        login = self._logins.pop(session_id, None)
        if login is not None:
            others = self._of[login.user_id]
            others.discard(session_id)
            if not others:
                del self._of[login.user_id]

    def _done(self, session_ids: Iterable[bytes]) -> None:
        for session_id in session_ids:
            question = self._questions.pop(session_id)
            if not question.done():
                question.set_result(None)

    def _tell(self, who: bytes, reason: str) -> None:
        for refused in list(self._watchers):
            refused(who, reason)


def _refusal(status: int | None) -> PermissionDenied | TokenInvalid:
    """Why a login whose account has this status does nothing; None for one that has ended."""
    if status == USER_STATUS_SUSPENDED:
        return AccountSuspended("the account is suspended")
    return TokenInvalid("the login that this access token belongs to has ended")
