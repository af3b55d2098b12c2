"""Who may engage with whose tweets: nobody between whom and the author a block stands. How the two stand is svc_graph's."""

import uuid

from svc_engage.deps import Deps
from svc_engage.errors import Blocked


async def engageable(tweet_id: bytes, user_id: bytes, deps: Deps) -> bytes:
    """The author of a tweet that a user may engage with.

    Raises TweetNotFound, Blocked (in either direction), and Unavailable when nobody can tell: a block that is not looked at is none.
    Undoing an engagement is nobody's to refuse.
    """
    author_id = await deps.tweets.author_of(tweet_id)
    sight = deps.relations.sight(user_id, [author_id]) or await deps.relations.ask_sight(user_id, [author_id])
    if author_id in sight.apart:
        raise Blocked("a block stands between the two accounts", tweet_id=uuid.UUID(bytes=tweet_id))
    return author_id
