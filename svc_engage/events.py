"""What engagement announces; what it hears is counted in counting/."""

import uuid

from aviary.engage.v1.events_pb2 import LikeSet

from svc_engage.domain.marks import LikeState


def like_set(
    *, event_id: uuid.UUID, tweet_id: bytes, author_id: bytes, user_id: bytes, liked: bool, level: int, now_ms: int
) -> LikeSet:
    """The announcement of a like, or of its end; it has no place yet."""
    event = LikeSet(
        event_id=event_id.bytes, tweet_id=tweet_id, author_id=author_id, user_id=user_id, liked=liked, level=level
    )
    event.occurred_at.FromMilliseconds(now_ms)
    return event


def like_state(event: LikeSet, place: int) -> LikeState:
    """The announced state, once it has a place in the log."""
    return LikeState(
        tweet_id=event.tweet_id,
        author_id=event.author_id,
        user_id=event.user_id,
        liked=event.liked,
        at=place,
        level=event.level,
        marked_ms=event.occurred_at.ToMilliseconds(),
    )
