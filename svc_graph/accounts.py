"""Which accounts exist, asked from svc_user once and remembered; nothing else about accounts."""

import uuid
from collections import OrderedDict
from collections.abc import Iterable

from aviary.user.v1.user_pb2 import GetUsersRequest
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub

from svc_graph.errors import FolloweeNotFound

_ASKED_AT_ONCE = 400


class KnownAccounts:
    """Remembers accounts that exist, the least recently used drop out. An account that exists never ceases to."""

    def __init__(self, user: UserServiceAsyncStub, size: int) -> None:
        self._user = user
        self._size = size
        self._known: OrderedDict[uuid.UUID, None] = OrderedDict()

    async def ensure_exist(self, user_ids: Iterable[uuid.UUID]) -> None:
        """Raise FolloweeNotFound, naming one, unless every account exists. Unavailable while svc_user is and one is not known."""
        wanted = set(user_ids)
        unknown = [user_id for user_id in wanted if user_id not in self._known]
        for start in range(0, len(unknown), _ASKED_AT_ONCE):
            await self._ask(unknown[start : start + _ASKED_AT_ONCE])
        for user_id in wanted:
            self._remember(user_id)

    async def _ask(self, user_ids: list[uuid.UUID]) -> None:
        answer = await self._user.GetUsers(GetUsersRequest(user_ids=[user_id.bytes for user_id in user_ids]))
        missing = set(user_ids) - {uuid.UUID(user.user_id) for user in answer.users}
        if missing:
            raise FolloweeNotFound("there is no such account", followee_id=min(missing))

    def _remember(self, user_id: uuid.UUID) -> None:
        self._known[user_id] = None
        self._known.move_to_end(user_id)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
