"""RemoveBookmark: the caller has a tweet bookmarked no longer."""

import uuid

from aviary.engage.v1.engage_pb2 import RemoveBookmarkRequest, RemoveBookmarkResponse

from runtime.context import Caller
from svc_engage.bookmarks import set_bookmark
from svc_engage.deps import Deps


async def remove_bookmark(request: RemoveBookmarkRequest, caller: Caller, deps: Deps) -> RemoveBookmarkResponse:
    """Remove a bookmark of the caller, also of a deleted tweet. Fails with TWEET_NOT_FOUND where neither it nor the tweet ever was."""
    tweet_id = uuid.UUID(request.tweet_id)
    await set_bookmark(tweet_id.bytes, caller.user_id, b"", False, deps)
    return RemoveBookmarkResponse(tweet_id=str(tweet_id), bookmarked=False)
