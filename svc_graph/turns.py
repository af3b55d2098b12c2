"""Turns: within one process the changes of one follower happen one after another; between processes versions decide."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager


class Turns:
    """One lock for each follower whose follows are being changed; followers at rest take no room."""

    def __init__(self) -> None:
        self._locks: dict[uuid.UUID, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, follower_ids: Iterable[uuid.UUID]) -> AsyncIterator[None]:
        """Wait for the turns of all the followers and keep them for the block."""
        async with AsyncExitStack() as held:
            # In one order for everybody, so that two that want the same followers never wait for each other.
            for follower_id in sorted(set(follower_ids)):
                await held.enter_async_context(self._one(follower_id))
            yield

    @asynccontextmanager
    async def _one(self, follower_id: uuid.UUID) -> AsyncIterator[None]:
        lock, users = self._locks.get(follower_id, (asyncio.Lock(), 0))
        self._locks[follower_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(follower_id)
            if users > 1:
                self._locks[follower_id] = (lock, users - 1)
