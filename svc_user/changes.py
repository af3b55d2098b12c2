"""Changing an account: one batch with its announcement, and every cache is told before the answer; how names move is in renaming.py."""

from runtime.errors import Unavailable
from svc_user.deps import Deps
from svc_user.domain.accounts import User, changed_at, next_version
from svc_user.domain.names import FINISH_WITHIN_MS, Claim
from svc_user.events import account_change, account_changed
from svc_user.rename_limit import counted
from svc_user.renaming import hold, least_version, let_go, moves_of, take


async def change_account(before: User, after: User, deps: Deps) -> User:
    """Store what differs, announce it and tell every cache. Returns the account with its new version.

    Caches are told also when nothing differs: an earlier try may have died before it told them. Raises UsernameTaken,
    EmailTaken, RenameLimitReached.
    """
    begun_ms = deps.clock.now_ms()
    moves = await moves_of(before, after, deps)
    if after != before:
        version = max(next_version(before, deps.clock.now_us()), least_version(moves, before))
        after = changed_at(before, after, version)
        wanted = Claim(after.user_id, until_ms=begun_ms + deps.claim_abandoned_ms, version=after.version)
        async with counted(before, after, begun_ms, deps):
            await take(moves, wanted, deps)
        moves = await hold(moves, begun_ms, deps)
        if deps.clock.now_ms() - begun_ms >= FINISH_WITHIN_MS:
            raise Unavailable("the change took too long; try again", retry_after_s=1)
    with deps.signals.doubted_unless_told():
        if after != before:
            await _store(before, after, deps)
        await deps.signals.tell(changes=[account_change(after)])
    await let_go(moves, deps)
    return after


async def _store(before: User, after: User, deps: Deps) -> None:
    event = account_changed(after)
    await deps.store.update_account(before, after, announce=event)
    deps.faults.at("user.change.after_batch")
    await deps.outbox.publish_soon(event)
