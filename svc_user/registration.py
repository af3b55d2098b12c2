"""Making an account whole or not at all: claims of unique names, their healing after a crash, and the one batch; no tokens here."""

import uuid

from runtime.errors import Unavailable
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.names import FINISH_WITHIN_MS, Claim, is_abandoned, may_finish, username_key
from svc_user.errors import EmailTaken, UsernameTaken
from svc_user.events import user_registered


async def claim(key: bytes, wanted: Claim, deps: Deps) -> Claim:
    """Claim a unique name unless somebody has it. Returns whose it is now: the wanted claim or another.

    A claim that is old and has no account is what a crash left behind. Its id is fenced first, so that no batch of it that
    still lies in a queue of the database can make a second account of that name.
    """
    holder = await deps.store.claim(key, wanted)
    if holder.user_id == wanted.user_id or not is_abandoned(holder, deps.clock.now_ms(), deps.claim_abandoned_ms):
        return holder
    if await has_account(holder.user_id, deps):
        return holder
    await deps.store.fence(holder.user_id)
    return await deps.store.take_over(key, holder, wanted)


async def claim_both(user_id: uuid.UUID, username: str, email: str, deps: Deps) -> Claim:
    """Claim username and e-mail address for a new account, or neither. Raises UsernameTaken, EmailTaken."""
    wanted = Claim(user_id)
    if (await claim(username_key(username), wanted, deps)).user_id != user_id:
        raise UsernameTaken("the username is taken")
    if (await claim(deps.emails.claim_key(email), wanted, deps)).user_id != user_id:
        await deps.store.release(username_key(username), wanted)
        raise EmailTaken("another account has the e-mail address")
    deps.faults.at("user.register.after_claims")
    return wanted


async def make_account(user: User, password_hash: str | None, held: Claim, deps: Deps) -> None:
    """Write account, credentials and announcement in one batch, under a claim that nobody can be taking over."""
    if not may_finish(held, deps.clock.now_ms(), deps.claim_abandoned_ms):
        raise Unavailable("the registration took too long; try again later", retry_after_s=FINISH_WITHIN_MS / 1000)
    event = user_registered(user)
    await deps.store.insert_account(user, password_hash, announce=event)
    deps.faults.at("user.register.after_batch")
    await deps.outbox.publish_soon(event)


async def has_account(user_id: uuid.UUID, deps: Deps) -> bool:
    """Whether a claimed id became an account."""
    return bool(await deps.store.get_users([user_id]))
