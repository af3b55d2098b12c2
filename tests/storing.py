"""A like as one process stores it, for tests of what is read then."""

from svc_engage.domain.marks import LikeSetting, LikeState, Mark
from svc_engage.store import EngageStore


async def store_like(store: EngageStore, like: LikeState, before: Mark, delta: int) -> None:
    """Store the rows of a like, in the order of svc_engage/like_writing.py."""
    await store_likes(store, [LikeSetting(like, before, delta)])


async def store_likes(store: EngageStore, likes: list[LikeSetting]) -> None:
    """As `store_like`, of several together."""
    await store.list_likes(likes)
    await store.state_likes(likes)
