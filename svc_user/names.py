"""Claims of unique names, the healing of what crashes leave of them, and who bears a name; the rules are in domain/names.py."""

import uuid
from collections.abc import Collection

from aviary.user.v1.user_pb2 import USER_STATUS_SUSPENDED

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import NO_ACCOUNT, User
from svc_user.domain.names import Claim, is_abandoned, username_key
from svc_user.errors import AccountSuspended, UserNotFound


async def claim(key: bytes, wanted: Claim, deps: Deps) -> Claim:
    """Claim a unique name unless somebody has it. Returns whose it is now: the wanted claim or another.

    A claim that holds no more and whose account does not bear the name is what a crash left behind, or a name that was given up.
    Before it is taken over, a write that still lies in a queue of the database is made void: it could make a second account of that
    name, or give the name to its account after all.
    """
    holder = await deps.store.claim(key, wanted)
    if holder == wanted or not is_abandoned(holder, deps.clock.now_ms(), deps.claim_abandoned_ms):
        return holder
    account = await account_of(holder.user_id, deps)
    if account is None:
        await deps.store.fence(holder.user_id)
    elif bears(account, key, deps):
        return holder
    else:
        await deps.store.fence_names(account, holder.written_us)
    return await deps.store.take_over(key, holder, wanted)


async def bearers(keys: Collection[bytes], deps: Deps) -> dict[bytes, User]:
    """The accounts that bear the names. Who only claims one, or gave it up, does not."""
    claims = await deps.store.claims(keys)
    users = {user.user_id: user for user in await deps.store.get_users({c.user_id for c in claims.values()})}
    found = ((key, users.get(claim.user_id)) for key, claim in claims.items())
    return {key: user for key, user in found if user is not None and bears(user, key, deps)}


async def bearer(key: bytes, deps: Deps) -> User | None:
    """The account that bears the name. Costs the same when nobody does: how long it takes says nothing about a name."""
    claimed = (await deps.store.claims([key])).get(key)
    user = await account_of(claimed.user_id if claimed else NO_ACCOUNT, deps)
    return user if user is not None and bears(user, key, deps) else None


def bears(user: User, key: bytes, deps: Deps) -> bool:
    """Whether the name is the account's username or e-mail address now."""
    if key == username_key(user.username):
        return True
    email = deps.emails.open(user.email, user.user_id)
    return bool(email) and key == deps.emails.claim_key(email)


async def account_of(user_id: uuid.UUID, deps: Deps) -> User | None:
    """The account, None when an id was claimed with and became none."""
    users = await deps.store.get_users([user_id])
    return users[0] if users else None


async def existing_account(user_id: uuid.UUID, deps: Deps) -> User:
    """The account. Raises UserNotFound."""
    account = await account_of(user_id, deps)
    if account is None:
        raise UserNotFound("there is no such account", user_id=user_id)
    return account


async def own_account(caller: Caller, deps: Deps) -> User:
    """The account of who calls, who may change it. Raises UserNotFound, AccountSuspended."""
    account = await existing_account(uuid.UUID(bytes=caller.user_id), deps)
    if account.status == USER_STATUS_SUSPENDED:
        raise AccountSuspended("the account is suspended")
    return account
