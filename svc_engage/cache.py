"""What Redis remembers of counts and marks, as the rest of the service sees it; all of it can be made again from the store."""

from collections.abc import Mapping
from typing import Protocol

from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.relations import Count, Subject


class CountCache(Protocol):
    """The fast copy of counts and of what users marked."""

    async def put(self, counts: Mapping[Subject, Count]) -> None:
        """Remember counts; one with a greater `as_of` stays as it is. Raises Unavailable; some may be remembered then."""

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        """Remember a state where the user's marks are remembered; a later one stays. Never fails."""


class NoCache:
    """Remembers nothing: the store answers."""

    async def put(self, counts: Mapping[Subject, Count]) -> None:
        """See CountCache."""

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        """See CountCache."""
