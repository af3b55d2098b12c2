"""Unlike: the caller likes a tweet no longer."""

import uuid

from aviary.engage.v1.engage_pb2 import UnlikeRequest, UnlikeResponse

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.likes import set_like


async def unlike(request: UnlikeRequest, caller: Caller, deps: Deps) -> UnlikeResponse:
    """Make the caller like a tweet no longer. Fails with TWEET_NOT_FOUND."""
    tweet_id = uuid.UUID(request.tweet_id)
    likes_count = await set_like(tweet_id.bytes, caller.user_id, False, deps)
    return UnlikeResponse(tweet_id=str(tweet_id), liked=False, likes_count=likes_count)
