"""ListAuthorTweets: what one author posted."""

import uuid

from aviary.tweet.v1.tweet_pb2 import ListAuthorTweetsRequest, ListAuthorTweetsResponse

from runtime.context import Caller
from svc_tweet.deps import Deps
from svc_tweet.domain.tweets import after, before


async def list_author_tweets(request: ListAuthorTweetsRequest, _: Caller, deps: Deps) -> ListAuthorTweetsResponse:
    """A page of ids, newest first, strictly between `since_id` and `max_id`. One more than asked is read, to know of an end."""
    bounds = uuid.UUID(bytes=request.author_id), before(request.max_id), after(request.since_id), request.limit + 1
    if request.include_deleted:
        found = await deps.store.list_all_by_author(*bounds)
    else:
        found = [(tweet_id, False) for tweet_id in await deps.store.list_by_author(*bounds)]
    page = found[: request.limit]
    return ListAuthorTweetsResponse(
        tweet_ids=b"".join(tweet_id.bytes for tweet_id, _ in page),
        has_more=len(found) > len(page),
        deleted_ids=b"".join(tweet_id.bytes for tweet_id, deleted in page if deleted),
    )
