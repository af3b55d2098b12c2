"""Bookmark: the caller bookmarks a tweet."""

import uuid

from aviary.engage.v1.engage_pb2 import BookmarkRequest, BookmarkResponse

from runtime.context import Caller
from svc_engage.bookmarks import set_bookmark
from svc_engage.deps import Deps
from svc_engage.standing import engageable


async def bookmark(request: BookmarkRequest, caller: Caller, deps: Deps) -> BookmarkResponse:
    """Bookmark a tweet for the caller alone. Fails with TWEET_NOT_FOUND, BLOCKED."""
    tweet_id = uuid.UUID(request.tweet_id)
    author_id = await engageable(tweet_id.bytes, caller.user_id, deps)
    await set_bookmark(tweet_id.bytes, caller.user_id, author_id, True, deps)
    return BookmarkResponse(tweet_id=str(tweet_id), bookmarked=True)
