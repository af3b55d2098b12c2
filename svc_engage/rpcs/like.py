"""Like: the caller likes a tweet."""

import uuid

from aviary.engage.v1.engage_pb2 import LikeRequest, LikeResponse

from runtime.context import Caller
from svc_engage.deps import Deps
from svc_engage.likes import set_like
from svc_engage.standing import engageable


async def like(request: LikeRequest, caller: Caller, deps: Deps) -> LikeResponse:
    """Make the caller like a tweet. Fails with TWEET_NOT_FOUND, BLOCKED."""
    tweet_id = uuid.UUID(request.tweet_id)
    await engageable(tweet_id.bytes, caller.user_id, deps)
    likes_count = await set_like(tweet_id.bytes, caller.user_id, True, deps)
    return LikeResponse(tweet_id=str(tweet_id), liked=True, likes_count=likes_count)
