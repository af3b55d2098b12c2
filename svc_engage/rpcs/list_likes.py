"""ListLikes: the tweets that an account likes."""

from aviary.engage.v1.engage_pb2 import ListLikesRequest, ListLikesResponse

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.marks import MarkKind
from svc_engage.listing import Listing
from svc_engage.own_lists import own_likes_stored


async def list_likes(request: ListLikesRequest, caller: Caller, deps: Deps) -> ListLikesResponse:
    """A page of the tweets that an account likes, latest like first. Fails with INVALID_CURSOR."""
    listing = Listing(request, request.user_id, caller, deps.cursors)
    after = listing.after_tweet()
    if after is None and request.user_id == caller.user_id:
        await own_likes_stored(caller.user_id, deps)
    rows = await deps.store.list_marked(request.user_id, MarkKind.LIKE, after, request.limit + 1)
    tweets, has_more = listing.marked(rows)
    return ListLikesResponse(tweets=tweets, has_more=has_more)
