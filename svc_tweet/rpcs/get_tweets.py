"""GetTweets: many tweets by id."""

import uuid

from aviary.tweet.v1.tweet_pb2 import GetTweetsRequest, GetTweetsResponse, StoredTweet

from runtime.context import Caller
from svc_tweet.deps import Deps


async def get_tweets(request: GetTweetsRequest, _: Caller, deps: Deps) -> GetTweetsResponse:
    """The tweets that exist among the ids, each once; deleted ones say so and have no body."""
    tweets = await deps.store.get_many({uuid.UUID(bytes=tweet_id) for tweet_id in request.tweet_ids})
    return GetTweetsResponse(
        tweets=[
            StoredTweet(
                tweet_id=tweet.tweet_id.bytes,
                author_id=tweet.author_id.bytes,
                body=b"" if tweet.deleted else tweet.body,
                deleted=tweet.deleted,
            )
            for tweet in tweets
        ]
    )
