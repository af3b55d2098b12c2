"""ResolveUsernames: whose names these are."""

from aviary.user.v1.user_pb2 import ResolvedUsername, ResolveUsernamesRequest, ResolveUsernamesResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.names import username_key


async def resolve_usernames(request: ResolveUsernamesRequest, _: Caller, deps: Deps) -> ResolveUsernamesResponse:
    """Ids of usernames in any case, each name as it was asked for. A claimed name without an account is nobody's."""
    asked = {name: username_key(name) for name in request.usernames}
    holders = await deps.store.holders(set(asked.values()))
    known = {user.user_id for user in await deps.store.get_users(set(holders.values()))}
    found = [(name, holders[key]) for name, key in asked.items() if holders.get(key) in known]
    return ResolveUsernamesResponse(
        users=[ResolvedUsername(username=name, user_id=user_id.bytes) for name, user_id in found]
    )
