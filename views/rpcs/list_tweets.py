"""ListTweets: up to 100 tweets by id."""

from aviary.view.v1 import view_pb2

from runtime.context import Caller
from views.deps import Deps
from views.errors import TweetNotFound
from views.hydrate import hydrate_ids
from views.ids import parsed_id
from views.present import feed_view, tweet_list
from views.rules import NAMED_RULES, visible


async def list_tweets(request: view_pb2.ListTweetsRequest, caller: Caller, deps: Deps) -> view_pb2.ListTweetsResponse:
    """Those that can be shown, once each in the order asked for; every other id, malformed ones too, is named in errors."""
    asked = {text: parsed_id(text) for text in request.ids}
    keys = list(dict.fromkeys(key for key in asked.values() if key is not None))
    items, state = await hydrate_ids(caller.user_id, keys, deps)
    shown = visible(items, state, NAMED_RULES)
    found = {i.tweet_id for i in shown}
    errors = [
        view_pb2.TweetError(tweet_id=text, reason=TweetNotFound.reason)
        for text, key in asked.items()
        if key not in found
    ]
    return tweet_list(feed_view(shown, state), errors, state.away)
