"""GetInteractions: how often an account engaged with authors."""

from collections import defaultdict

from aviary.engage.v1.engage_pb2 import GetInteractionsRequest, GetInteractionsResponse, Interaction

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.marks import MarkKind

_LIKES = 2000
_HALF_AFTER_MS = 30 * 24 * 3600 * 1000


async def get_interactions(request: GetInteractionsRequest, _: Caller, deps: Deps) -> GetInteractionsResponse:
    """The weight of each author with whom the account engaged."""
    weights: dict[bytes, float] = defaultdict(float)
    now_ms = deps.clock.now_ms()
    for listed in await deps.store.list_marked(request.user_id, MarkKind.LIKE, None, _LIKES):
        weights[listed.author_id] += 0.5 ** (max(0, now_ms - listed.marked_ms) / _HALF_AFTER_MS)
    wanted = dict.fromkeys(request.author_ids)
    return GetInteractionsResponse(
        interactions=[Interaction(author_id=one, weight=weights[one]) for one in wanted if one in weights]
    )
