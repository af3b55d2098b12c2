"""The one way in which likes are set: in the log, which makes them count; their rows follow (like_rows.py), counting is counting/."""

import asyncio

from readers.recent import LIKE, LIKING, OwnLike
from svc_engage.cache import Glance
from svc_engage.deps import Deps
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.events import like_set, like_state

_LOOKS, _PAUSE_S = 25, 0.02


async def set_like(tweet_id: bytes, user_id: bytes, liked: bool, deps: Deps) -> int:
    """Bring one like into a state, and return how many like the tweet then. Raises TweetNotFound.

    It is announced whatever state is stored: the opposite may stand in the log and not be stored yet. Once it has its place in the
    log it counts. It is answered when the user's next reads know of it: from what is recorded of own writes, or else from the rows.
    """
    author_id = await deps.tweets.author_of(tweet_id)
    glance, before, level = await _read(tweet_id, user_id, deps)
    event = like_set(
        event_id=deps.ids.next(),
        tweet_id=tweet_id,
        author_id=author_id,
        user_id=user_id,
        liked=liked,
        level=level,
        now_ms=deps.clock.now_ms(),
    )
    (place,) = await deps.bus.publish(event)
    deps.faults.at("engage.like.after_publish")
    delta = int(liked) - int(before.present)
    own = OwnLike(tweet_id, liked, delta, place, before.at)
    known = await deps.recent.record(user_id, LIKE, own.packed())
    await deps.rows.write(like_state(event, place), before, delta, own, known)
    deps.faults.at("engage.like.before_answer")
    # As any read of the user's shows it from now on; what was seen before, and what was done since, tell it in all but rare cases.
    shown = deps.reads.likes_with(glance, own, before)
    if shown is None:
        shown = (await deps.reads.tweets(user_id, [tweet_id])).counts[0][0]
    return shown


async def _read(tweet_id: bytes, user_id: bytes, deps: Deps) -> tuple[Glance | None, Mark, int]:
    """What the cache says, the state before, and how far the rows of the tweet's likes are split.

    It is recorded that a like begins. Should this process die after announcing it, the next try does not know that it followed it;
    readers then see one beginning too many. The cache is asked before, so that this one is not taken for another.
    """
    async with asyncio.TaskGroup() as reads:
        looking = reads.create_task(deps.reads.before_like(user_id, tweet_id))
        reads.create_task(deps.recent.record(user_id, LIKING, tweet_id))
    glance = looking.result()
    at = deps.reads.like_at(glance, tweet_id)
    known = None if at is None else deps.rows.mark(tweet_id, user_id, at)
    if known is not None:
        return glance, known, await deps.reads.level(tweet_id)
    async with asyncio.TaskGroup() as reads:
        before = reads.create_task(_stored(tweet_id, user_id, at or 0, deps))
        level = reads.create_task(deps.reads.level(tweet_id))
    return glance, before.result(), level.result()


async def _stored(tweet_id: bytes, user_id: bytes, at: int, deps: Deps) -> Mark:
    """The mark that is stored, behind what this process writes.

    One that is older than the cache says is on its way from another process: it is waited for, half a second. If that died, the two
    are as two at the same moment.
    """
    await deps.rows.of(user_id)
    for _ in range(_LOOKS):
        mark = await deps.store.mark(user_id, MarkKind.LIKE, tweet_id)
        if mark.at >= at:
            break
        await asyncio.sleep(_PAUSE_S)
    return mark
