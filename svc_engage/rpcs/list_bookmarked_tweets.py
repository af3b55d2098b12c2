"""ListBookmarkedTweets: the tweets that an account bookmarked."""

from aviary.engage.v1.engage_pb2 import ListBookmarkedTweetsRequest, ListBookmarkedTweetsResponse

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.marks import MarkKind
from svc_engage.listing import Listing


async def list_bookmarked_tweets(
    request: ListBookmarkedTweetsRequest, caller: Caller, deps: Deps
) -> ListBookmarkedTweetsResponse:
    """A page of the tweets that an account bookmarked, latest bookmark first. Fails with INVALID_CURSOR."""
    listing = Listing(request, request.user_id, caller, deps.cursors)
    after = listing.after_tweet()
    rows = await deps.store.list_marked(request.user_id, MarkKind.BOOKMARK, after, request.limit + 1)
    tweets, has_more = listing.marked(rows)
    return ListBookmarkedTweetsResponse(tweets=tweets, has_more=has_more)
