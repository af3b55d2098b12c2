"""GetTweetCounts: counts of tweets, and what the viewer did with them."""

from aviary.engage.v1.engage_pb2 import GetTweetCountsRequest, GetTweetCountsResponse, TweetCounts

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.domain.marks import UNMARKED, MarkKind
from svc_engage.domain.relations import NOTHING, Kind, Subject


async def get_tweet_counts(request: GetTweetCountsRequest, _: Caller, deps: Deps) -> GetTweetCountsResponse:
    """Counts and flags, one for each tweet that was asked for."""
    wanted, viewer = dict.fromkeys(request.tweet_ids), request.viewer_id
    kinds = (Kind.LIKES, Kind.RETWEETS, Kind.REPLIES, Kind.QUOTES)
    counts = await deps.store.counts([Subject(tweet_id, kind) for tweet_id in wanted for kind in kinds])
    likes = await deps.store.marks(viewer, MarkKind.LIKE, wanted) if viewer else {}
    bookmarks = await deps.store.marks(viewer, MarkKind.BOOKMARK, wanted) if viewer else {}

    def counts_of(tweet_id: bytes) -> TweetCounts:
        likes_count, retweets, replies, quotes = (counts.get(Subject(tweet_id, kind), NOTHING).count for kind in kinds)
        return TweetCounts(
            tweet_id=tweet_id,
            likes_count=likes_count,
            retweets_count=retweets,
            replies_count=replies,
            quote_tweets_count=quotes,
            liked=likes.get(tweet_id, UNMARKED).present,
            bookmarked=bookmarks.get(tweet_id, UNMARKED).present,
        )

    return GetTweetCountsResponse(counts=map(counts_of, wanted))
