"""ListLikers: who likes a tweet."""

from aviary.engage.v1.engage_pb2 import ListLikersRequest, ListLikersResponse

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.relations import NOTHING, Kind, Subject
from svc_engage.listing import Listing


async def list_likers(request: ListLikersRequest, caller: Caller, deps: Deps) -> ListLikersResponse:
    """A page of who likes a tweet, latest like first. Fails with INVALID_CURSOR."""
    listing = Listing(request, request.tweet_id, caller, deps.cursors)
    after = listing.after_liker()
    subject = Subject(request.tweet_id, Kind.LIKES)
    level = (await deps.store.counts([subject])).get(subject, NOTHING).level
    user_ids, next_cursor = listing.likers(
        await deps.store.list_likers(request.tweet_id, level, after, request.limit + 1)
    )
    return ListLikersResponse(user_ids=user_ids, next_cursor=next_cursor)
