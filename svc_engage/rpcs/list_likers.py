"""ListLikers: who likes a tweet."""

from aviary.engage.v1.engage_pb2 import ListLikersRequest, ListLikersResponse

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.relations import NOTHING, Kind, Subject
from svc_engage.listing import Listing
from svc_engage.own_lists import own_like_stored


async def list_likers(request: ListLikersRequest, caller: Caller, deps: Deps) -> ListLikersResponse:
    """A page of who likes a tweet, latest like first. Fails with INVALID_CURSOR."""
    listing = Listing(request, request.tweet_id, caller, deps.cursors)
    after = listing.after_liker()
    subject = Subject(request.tweet_id, Kind.LIKES)
    level = (await deps.store.counts([subject])).get(subject, NOTHING).level
    if after is None and caller.user_id:
        await own_like_stored(caller.user_id, subject, level, deps)
    user_ids, next_cursor = listing.likers(
        await deps.store.list_likers(request.tweet_id, level, after, request.limit + 1)
    )
    return ListLikersResponse(user_ids=user_ids, next_cursor=next_cursor)
