"""GetTweet: one tweet."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.deps import Deps
from views.errors import TweetNotFound
from views.hydrate import hydrate_ids
from views.ids import raw_id, text_id
from views.present import degraded, feed_view
from views.rules import NAMED_RULES, visible


async def get_tweet(request: view_pb2.GetTweetRequest, caller: Caller, deps: Deps) -> view_pb2.GetTweetResponse:
    """The tweet as the caller sees it. Fails with TWEET_NOT_FOUND when it is absent, deleted, or hidden from the caller."""
    key = raw_id(request.tweet_id)
    items, state = await hydrate_ids(caller.user_id, [key], deps)
    frames = feed_view(visible(items, state, NAMED_RULES), state)
    if not frames:
        raise TweetNotFound("no such tweet", tweet_id=text_id(key))
    answer = view_pb2.GetTweetResponse.FromString(frames[0])
    answer.degraded.extend(degraded(state.away))
    return answer
