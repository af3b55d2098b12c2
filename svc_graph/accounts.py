"""Which accounts exist, asked from svc_user and believed while its signals allow; nothing else about accounts."""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable

from aviary.user.v1.events_pb2 import AccountSignal
from aviary.user.v1.user_pb2 import USER_STATUS_DELETED, USER_STATUS_SUSPENDED, GetUsersRequest
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub
from grpc import StatusCode, aio

from runtime import telemetry
from signals.epochs import Epochs
from svc_graph.errors import AccountNotFound, FolloweeNotFound

BELIEVED_S = 60.0
_ASKED_AT_ONCE = 400
_DOWN = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED)
_GONE = frozenset({USER_STATUS_DELETED})
_HIDDEN = frozenset({USER_STATUS_DELETED, USER_STATUS_SUSPENDED})

log = telemetry.logger(__name__)

_Known = tuple[int, int | None, float]
"""State of an account; the epoch and the time in which it was asked."""


class KnownAccounts:
    """Remembers accounts that exist; the least recently used drop out.

    What was asked is believed for a minute, and only while no signal of svc_user can have been missed; an account that changed is
    asked again. While svc_user does not answer nobody changes an account, so what was known stays believed.
    """

    def __init__(self, user: UserServiceAsyncStub, size: int, monotonic: Callable[[], float]) -> None:
        self._user = user
        self._size = size
        self._now = monotonic
        self._epochs = Epochs(monotonic, AccountSignal)
        self._known: OrderedDict[uuid.UUID, _Known] = OrderedDict()
        self._changes = 0

    async def heard(self, signal: AccountSignal) -> None:
        """A signal of svc_user arrived."""
        self._epochs.heard(signal)
        for change in signal.changes:
            self._changes += 1
            self._known.pop(uuid.UUID(bytes=change.user_id), None)

    async def ensure_followable(self, user_ids: Iterable[uuid.UUID]) -> None:
        """Raise FolloweeNotFound, naming one, unless every account is there to be followed; a suspended one is not.

        Unavailable while svc_user is and one is not known.
        """
        hidden = await self._among(set(user_ids), _HIDDEN)
        if hidden:
            raise FolloweeNotFound("there is no such account", followee_id=min(hidden))

    async def ensure_exists(self, user_id: uuid.UUID) -> None:
        """Raise AccountNotFound unless the account exists; it may be suspended. Unavailable while svc_user is and it is not known."""
        if await self._among({user_id}, _GONE):
            raise AccountNotFound("there is no such account", user_id=user_id)

    async def _among(self, user_ids: Collection[uuid.UUID], states: Collection[int]) -> list[uuid.UUID]:
        """Those of the accounts that are unknown to svc_user or in one of the states."""
        ask = [user_id for user_id in user_ids if not self._believed(user_id)]
        found: dict[uuid.UUID, int] = {}
        for start in range(0, len(ask), _ASKED_AT_ONCE):
            found |= await self._ask(ask[start : start + _ASKED_AT_ONCE])
        for user_id in user_ids:
            if user_id in self._known:
                self._known.move_to_end(user_id)
                found.setdefault(user_id, self._known[user_id][0])
        return [user_id for user_id in user_ids if found.get(user_id, USER_STATUS_DELETED) in states]

    def _believed(self, user_id: uuid.UUID) -> bool:
        known = self._known.get(user_id)
        if known is None:
            return False
        _, epoch, asked_at = known
        return epoch is not None and epoch == self._epochs.epoch() and self._now() - asked_at < BELIEVED_S

    async def visible_among(self, user_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Those that exist and are not suspended. Unavailable while svc_user is and one is not known."""
        return set(user_ids) - set(await self._among(user_ids, _HIDDEN))

    async def _ask(self, user_ids: list[uuid.UUID]) -> dict[uuid.UUID, int]:
        # As of before the question: what is heard while it is under way may be missing in the answer.
        epoch, changes, asked_at = self._epochs.epoch(), self._changes, self._now()
        try:
            answer = await self._user.GetUsers(GetUsersRequest(user_ids=[user_id.bytes for user_id in user_ids]))
        except aio.AioRpcError as error:
            if error.code() not in _DOWN or not all(user_id in self._known for user_id in user_ids):
                raise
            log.warning("accounts_are_old", asked=len(user_ids))
            return {}
        states = {uuid.UUID(user.user_id): int(user.status) for user in answer.users}
        for user_id in user_ids:
            self._known.pop(user_id, None)
        for user_id, state in states.items():
            self._known[user_id] = (state, epoch if changes == self._changes else None, asked_at)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return states
