"""What the two lists of a user's marks have in common: setting, and reading page by page."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aviary.engage.v1 import engage_pb2 as pb

from tests.unit.svc_engage.engage import Engage

Page = Callable[..., Awaitable[Any]]


async def likes(engage: Engage, user: uuid.UUID, limit: int | None = None, cursor: str = "") -> pb.ListLikesResponse:
    """A page of likes."""
    request = pb.ListLikesRequest(user_id=user.bytes, limit=limit, cursor=cursor)
    answer: pb.ListLikesResponse = await engage.stub.ListLikes(request)
    return answer


async def bookmarks(
    engage: Engage, user: uuid.UUID, limit: int | None = None, cursor: str = ""
) -> pb.ListBookmarkedTweetsResponse:
    """A page of bookmarks."""
    request = pb.ListBookmarkedTweetsRequest(user_id=user.bytes, limit=limit, cursor=cursor)
    answer: pb.ListBookmarkedTweetsResponse = await engage.stub.ListBookmarkedTweets(request)
    return answer


async def whole(
    engage: Engage, user: uuid.UUID, limit: int, page: Page, between: Callable[[], Awaitable[None]]
) -> list[bytes]:
    """The list in pages of one size, with something happening between any two; each goes on behind the last entry seen."""
    seen: list[bytes] = []
    cursor = ""
    while True:
        answer = await page(engage, user, limit, cursor)
        assert len(answer.tweets) <= limit
        seen += [tweet.tweet_id for tweet in answer.tweets]
        if not answer.has_more:
            return seen
        assert len(answer.tweets) == limit
        cursor = answer.tweets[-1].cursor
        await between()
