"""ResolveUsernames: whose names these are."""

from aviary.user.v1.user_pb2 import ResolvedUsername, ResolveUsernamesRequest, ResolveUsernamesResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.names import username_key
from svc_user.names import bearers


async def resolve_usernames(request: ResolveUsernamesRequest, _: Caller, deps: Deps) -> ResolveUsernamesResponse:
    """Ids of usernames in any case, each name as it was asked for. A name that no account bears now is nobody's."""
    asked = {name: username_key(name) for name in request.usernames}
    bearing = await bearers(set(asked.values()), deps)
    found = [(name, bearing[key].user_id) for name, key in asked.items() if key in bearing]
    return ResolveUsernamesResponse(
        users=[ResolvedUsername(username=name, user_id=user_id.bytes) for name, user_id in found]
    )
