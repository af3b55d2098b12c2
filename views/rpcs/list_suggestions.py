"""ListSuggestions: whom the caller might want to follow."""

from aviary.graph.v1 import graph_pb2
from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.accounts import find_people
from views.deps import Deps
from views.present import user_short
from views.rules import shown_people


async def list_suggestions(
    request: view_pb2.ListSuggestionsRequest, caller: Caller, deps: Deps
) -> view_pb2.ListSuggestionsResponse:
    """One page, best first; svc_graph leaves out whom the caller follows, and how the two stand by now is looked at here."""
    answer = await deps.graph.SuggestAccounts(
        graph_pb2.SuggestAccountsRequest(user_id=caller.user_id, limit=request.limit)
    )
    ids = [suggestion.user_id for suggestion in answer.suggestions]
    users, sight = await find_people(ids, caller, deps)
    shown = shown_people([key for key in ids if key not in sight.follows], users, sight, muted=False)
    return view_pb2.ListSuggestionsResponse(users=[user_short(account.user) for account in shown])
