"""GetTweetCounts: counts of tweets, and what the viewer did with them."""

from aviary.engage.v1.engage_pb2 import GetTweetCountsRequest, GetTweetCountsResponse, TweetCounts

from runtime.context import Caller
from svc_engage.deps import Deps


async def get_tweet_counts(request: GetTweetCountsRequest, _: Caller, deps: Deps) -> GetTweetCountsResponse:
    """Counts and flags, one for each tweet that was asked for, the viewer's own likes and bookmarks included (P53).

    P55: every like counts, whoever set it; accounts that are suspended, blocked or muted are left out neither here nor of the
    list of likers that this service gives. Raises Unavailable when neither cache nor store answer.
    """
    tweet_ids = list(dict.fromkeys(request.tweet_ids))
    seen = await deps.reads.tweets(request.viewer_id, tweet_ids)
    liked, bookmarked = seen.liked, seen.bookmarked
    return GetTweetCountsResponse(
        counts=[
            TweetCounts(
                tweet_id=one,
                likes_count=slots[0],
                retweets_count=slots[2],
                replies_count=slots[4],
                quote_tweets_count=slots[6],
                liked=one in liked,
                bookmarked=one in bookmarked,
            )
            for one, slots in zip(tweet_ids, seen.counts, strict=True)
        ]
    )
