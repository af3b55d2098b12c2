"""How many other usernames an account may take, so that nobody holds names in stock; how it comes to one is in renaming.py."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.errors import AlreadyExists
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.names import ensure_may_rename, lately, username_key


@asynccontextmanager
async def counted(before: User, after: User, now_ms: int, deps: Deps) -> AsyncIterator[None]:
    """Around the claiming of new names: counts another username, and counts it no more when it is taken. Raises RenameLimitReached.

    Counted before it is claimed, so that of a hundred tries at once no more names are claimed than the account may take. One name
    counts once: a try that died is gone on with, and who goes back and forth takes nothing from others.
    """
    key = username_key(after.username)
    is_new = key != username_key(before.username) and await _count(after.user_id, key, now_ms, deps)
    try:
        yield
    except AlreadyExists:
        if is_new:
            await _uncount(after.user_id, key, deps)
        raise


async def _count(user_id: uuid.UUID, key: bytes, now_ms: int, deps: Deps) -> bool:
    """Whether the name did not count before."""
    while True:
        stored = await deps.store.renames(user_id)
        counting = lately(stored, now_ms)
        if key in counting:
            # By ourselves, when the outcome was not known.
            return counting[key] == now_ms
        ensure_may_rename(counting, deps.renames_allowed, now_ms)
        if await deps.store.put_renames(user_id, stored, {**counting, key: now_ms}):
            deps.faults.at("user.rename.after_count")
            return True


async def _uncount(user_id: uuid.UUID, key: bytes, deps: Deps) -> None:
    while key in (stored := await deps.store.renames(user_id)):
        if await deps.store.put_renames(user_id, stored, {k: at_ms for k, at_ms in stored.items() if k != key}):
            return
