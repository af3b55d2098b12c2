"""GetUsers: public data of many accounts."""

import uuid

from aviary.user.v1.user_pb2 import GetUsersRequest, GetUsersResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import public_view


async def get_users(request: GetUsersRequest, _: Caller, deps: Deps) -> GetUsersResponse:
    """The accounts that exist among the ids, each once, without e-mail address and role."""
    users = await deps.store.get_users({uuid.UUID(bytes=user_id) for user_id in request.user_ids})
    return GetUsersResponse(users=[public_view(user) for user in users])
