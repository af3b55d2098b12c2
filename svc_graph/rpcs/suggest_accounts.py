"""SuggestAccounts: whom an account might follow."""

import uuid

from aviary.graph.v1.graph_pb2 import SuggestAccountsRequest, SuggestAccountsResponse, Suggestion

from runtime.context import Caller
from svc_graph.deps import Deps
from svc_graph.suggestions import suggested


async def suggest_accounts(request: SuggestAccountsRequest, _: Caller, deps: Deps) -> SuggestAccountsResponse:
    """Accounts that those whom the account follows follow, best first."""
    best = await suggested(uuid.UUID(bytes=request.user_id), request.limit, deps)
    return SuggestAccountsResponse(
        suggestions=[Suggestion(user_id=one.bytes, followed_by=count) for one, count in best]
    )
