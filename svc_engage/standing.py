"""Who may engage with whose tweets: nobody between whom and the author a block stands, and nobody where the author is suspended or gone.

How the two stand is svc_graph's, whether the author is there is svc_user's.
"""

import asyncio
import uuid

from svc_engage.deps import Deps
from svc_engage.errors import Blocked, TweetNotFound


async def engageable(tweet_id: bytes, user_id: bytes, deps: Deps) -> bytes:
    """The author of a tweet that a user may engage with.

    Raises TweetNotFound for a tweet that reads do not show to anybody, Blocked (in either direction), and Unavailable when nobody can
    tell: a block that is not looked at is none. Undoing an engagement is nobody's to refuse.
    """
    author_id = await deps.tweets.author_of(tweet_id)
    apart, users = deps.relations.apart(user_id, author_id), deps.accounts.cached([author_id])
    if apart is None or users is None:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(deps.relations.ask_apart(user_id, author_id))
            finding = group.create_task(deps.accounts.get([author_id]))
        apart, users = looking.result(), finding.result()
    author = users.get(author_id)
    if author is None or author.hidden:
        raise TweetNotFound("there is no such tweet", tweet_id=uuid.UUID(bytes=tweet_id))
    if apart:
        raise Blocked("a block stands between the two accounts", tweet_id=uuid.UUID(bytes=tweet_id))
    return author_id
