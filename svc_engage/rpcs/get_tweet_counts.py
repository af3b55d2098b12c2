"""GetTweetCounts: counts of tweets, and what the viewer did with them."""

from aviary.engage.v1.engage_pb2 import GetTweetCountsRequest, GetTweetCountsResponse

from runtime.context import Caller
from svc_engage.deps import Deps


async def get_tweet_counts(request: GetTweetCountsRequest, _caller: Caller, deps: Deps) -> GetTweetCountsResponse:
    """Counts and flags, one for each tweet that was asked for, the viewer's own likes and bookmarks included (P53); and as of what the
    viewer did lately others are to be judged.

    P55: every like counts, whoever set it; accounts that are suspended, blocked or muted are left out neither here nor of the
    list of likers that this service gives. Raises Unavailable when neither cache nor store answer.
    """
    tweet_ids = list(dict.fromkeys(request.tweet_ids))
    seen = await deps.reads.tweets(request.viewer_id, tweet_ids)
    liked, bookmarked = seen.liked, seen.bookmarked
    response = GetTweetCountsResponse()
    if seen.graph_version:
        response.graph_version = seen.graph_version
    if seen.recent_unknown:
        response.recent_unknown = True
    # Setting a field costs a fifth of naming it in the constructor, and every page of tweets comes here.
    add = response.counts.add
    for one, (likes, _, retweets, _, replies, _, quotes, _) in zip(tweet_ids, seen.counts, strict=True):
        counts = add()
        counts.tweet_id = one
        counts.likes_count = likes
        counts.retweets_count = retweets
        counts.replies_count = replies
        counts.quote_tweets_count = quotes
        if one in liked:
            counts.liked = True
        if one in bookmarked:
            counts.bookmarked = True
    return response
