"""Which accounts exist, in which state, and as whom they show themselves: asked from svc_user, believed while its signals allow. What
that means for others is decided elsewhere.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import grpc
from aviary.user.v1 import events_pb2, user_pb2
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub
from grpc import aio

from flights import Flights
from flights.ahead import Ahead
from runtime import telemetry
from runtime.bus import Bus, Stop
from signals.epochs import Epochs

BELIEVED_S = 60.0
RENEWED_S = 45.0
"""One that is asked for when it is as old is read again behind the backs of those who ask."""
FRESH_S = 0.5
"""While signals are missing, an account that was read so lately is believed: who suspends then answers a second later, at the earliest."""
QUIET_S = 1.0
"""After somebody waited for accounts in vain, who knows older ones does not wait for so long."""
_BATCH = 400
_NEVER, _DOUBTED = -1, -2
_TOLD = 10_000
"""So many changes are remembered: more than are told while accounts are being read."""
_DOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_HIDDEN = frozenset((user_pb2.USER_STATUS_SUSPENDED, user_pb2.USER_STATUS_DELETED))
_NO_PROFILE = user_pb2.User()

log = telemetry.logger(__name__)


@dataclass(slots=True, eq=False)
class Account:
    """An account as its service gave it, and when (seconds of a monotonic clock); it was so in `epoch`.

    `hidden`: suspended or deleted, by what was read or by what was told since: it, and all that it said, is shown to nobody.
    `deleted`: by what was read.
    `user` is empty where profiles are not kept.
    """

    user: user_pb2.User
    loaded_at: float
    epoch: int = -1
    hidden: bool = False
    deleted: bool = False


class Accounts:
    """Accounts by id; the least recently used drop out. Within an epoch of AccountSignal they are as they are now, for who changes one
    tells; and a minute old at most.

    Older ones serve only while their service does not answer; of those, too, it is known who was told to be suspended.
    """

    def __init__(
        self, user: UserServiceAsyncStub, monotonic: Callable[[], float], size: int, profiles: bool = True
    ) -> None:
        """`profiles`: whether names and all else that an account shows are kept, and not its state alone."""
        self._stub = user
        self._profiles = profiles
        self._now = monotonic
        self._size = size
        self._epochs = Epochs(monotonic, events_pb2.AccountSignal)
        self._kept: OrderedDict[bytes, Account] = OrderedDict()
        self._told: OrderedDict[bytes, int] = OrderedDict()
        """Which of the changes that were told was the last of an account: what was asked for before may lack it."""
        self._changes = 0
        self._forgotten = 0
        self._flights = Flights(self._fetch, _BATCH)
        self._ahead = Ahead(lambda ids: self.get(ids, fresh=frozenset(ids)), _BATCH)
        self._flying_in: int | None = None
        self._quiet_until = monotonic()

    def cached(self, ids: Iterable[bytes], fresh: Collection[bytes] = ()) -> dict[bytes, Account] | None:
        """All the accounts, if nothing has to be asked; `fresh` ones always have to be."""
        found, ask = self._split(ids, fresh)
        return None if ask else found

    def lacks(self, user_id: bytes, version: int) -> bool:
        """Whether what is kept of the account is older than that version (microseconds)."""
        kept = self._kept.get(user_id)
        return bool(version) and (kept is None or kept.user.updated_at.ToMicroseconds() < version)

    async def get(self, ids: Iterable[bytes], fresh: Collection[bytes] = ()) -> dict[bytes, Account]:
        """The accounts that exist; `fresh` ones as they are at this call, if svc_user answers."""
        found, ask = self._split(ids, fresh)
        if ask:
            epoch = self._epochs.epoch()
            if epoch != self._flying_in:
                # A read that began before a gap may lack what was not heard meanwhile.
                self._flights.forget()
                self._flying_in = epoch
            old = self._old(ask)
            if old is not None and not fresh and self._now() < self._quiet_until:
                return found | old
            try:
                found.update(await self._flights.load(ask, epoch is not None and not fresh))
            except aio.AioRpcError as error:
                old = self._old(ask)
                if error.code() not in _DOWN or old is None:
                    raise
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._quiet_until = self._now() + QUIET_S
                log.warning("accounts_are_old", asked=len(ask))
                found.update(old)
        return found

    def _old(self, ids: list[bytes]) -> dict[bytes, Account] | None:
        """All of them as they were, which serves while svc_user does not answer: nobody changes an account then."""
        old = {key: kept for key in ids if (kept := self._kept.get(key))}
        return old if len(old) == len(ids) else None

    async def heard(self, signal: events_pb2.AccountSignal) -> None:
        """A signal arrived."""
        self._epochs.heard(signal)
        for change in signal.changes:
            self._learn(change.user_id, change.status)

    async def announced(self, event: events_pb2.AccountChanged) -> None:
        """A change was announced: also one that nobody signalled, because its process died or never learned that it stands."""
        self._learn(event.user_id, event.status)

    def _learn(self, user_id: bytes, status: int) -> None:
        self._changes += 1
        self._told[user_id] = self._changes
        self._told.move_to_end(user_id)
        if len(self._told) > _TOLD:
            self._forgotten = self._told.popitem(last=False)[1]
        kept = self._kept.get(user_id)
        if kept is not None:
            # Of two changes the later one may come first: hidden is at once who is to be, everything else is asked for.
            kept.hidden = kept.hidden or status in _HIDDEN
            kept.epoch = _DOUBTED

    def _split(self, ids: Iterable[bytes], fresh: Collection[bytes]) -> tuple[dict[bytes, Account], list[bytes]]:
        epoch = self._epochs.epoch()
        now = self._now()
        oldest, aging = now - (FRESH_S if epoch is None else BELIEVED_S), now - RENEWED_S
        found: dict[bytes, Account] = {}
        ask = []
        kept = self._kept
        for key in dict.fromkeys(ids):
            account = kept.get(key)
            if account is None or account.loaded_at < oldest or key in fresh:
                ask.append(key)
            elif account.epoch == epoch or (epoch is None and account.epoch != _DOUBTED):
                kept.move_to_end(key)
                found[key] = account
                if account.loaded_at < aging:
                    self._ahead.soon(key)
            else:
                ask.append(key)
        return found, ask

    async def _fetch(self, ids: list[bytes]) -> Mapping[bytes, Account]:
        # All as of before the read: what is told meanwhile may not be in it.
        asked_at, epoch, told = self._now(), self._epochs.epoch(), self._changes
        answer = await self._stub.GetUsers(user_pb2.GetUsersRequest(user_ids=ids))
        read = {uuid.UUID(user.user_id).bytes: user for user in answer.users}
        return {key: self._keep(key, user, asked_at, epoch, told) for key, user in read.items()}

    def _keep(self, key: bytes, user: user_pb2.User, asked_at: float, epoch: int | None, told: int) -> Account:
        doubted = self._told.get(key, self._forgotten) > told
        account, profile = self._kept.get(key), user if self._profiles else _NO_PROFILE
        if account is not None and account.loaded_at > asked_at:
            return account
        hidden, deleted = user.status in _HIDDEN, user.status == user_pb2.USER_STATUS_DELETED
        if doubted and account is not None:
            hidden = hidden or account.hidden
        if account is None or account.user != profile:
            account = self._kept[key] = Account(profile, asked_at)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        account.hidden, account.deleted = hidden, deleted
        # The same object stays for the same account, and with it the presentation of every tweet that was made with it.
        account.loaded_at = asked_at
        account.epoch = _DOUBTED if doubted else _NEVER if epoch is None else epoch
        return account


async def listen(accounts: Accounts, bus: Bus) -> Stop:
    """Let accounts hear what changes; without it they are right too, but ask more. Await the result to stop."""
    stops = [
        await bus.listen(events_pb2.AccountSignal, accounts.heard),
        await bus.listen(events_pb2.AccountChanged, accounts.announced),
    ]

    async def stop() -> None:
        for each in stops:
            await each()

    return stop
