"""GetInteractions: how often an account engaged with authors."""

from aviary.engage.v1.engage_pb2 import GetInteractionsRequest, GetInteractionsResponse, Interaction

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.weights import grown


async def get_interactions(request: GetInteractionsRequest, _: Caller, deps: Deps) -> GetInteractionsResponse:
    """The weight of each author with whom the account engaged, of the 200 with whom it did most."""
    known = await deps.engagements.of(request.user_id)
    now = grown(known.base_ms - deps.clock.now_ms())
    return GetInteractionsResponse(
        interactions=[
            Interaction(author_id=one, weight=known.weights[one] * now)
            for one in dict.fromkeys(request.author_ids)
            if one in known.weights
        ]
    )
