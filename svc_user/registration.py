"""Making an account whole or not at all: both its names, and the one batch; no tokens here, and how names are claimed is in names.py."""

import uuid

from aviary.mesh.v1 import mesh_pb2

from runtime.errors import Unavailable
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.names import FINISH_WITHIN_MS, Claim, may_finish, username_key
from svc_user.errors import EmailTaken, UsernameTaken
from svc_user.events import user_registered
from svc_user.names import claim


async def new_account(
    username: str,
    email: str,
    password: str,
    deps: Deps,
    *,
    display_name: str = "",
    role: "mesh_pb2.Role.ValueType" = mesh_pb2.ROLE_UNSPECIFIED,
) -> User:
    """Make an account that can log in. Raises UsernameTaken, EmailTaken, PasswordTooCommon, TooManyLogins."""
    deps.passwords.ensure_good(password)
    # Before the claims: what is slow must not age them.
    with deps.passwords.place() as place:
        password_hash = await place.hash(password)
    user_id = deps.ids.next()
    sealed = deps.emails.seal(email, user_id)
    user = User(user_id, username, display_name or username, email=sealed, role=role)
    held = await claim_both(user_id, username, email, deps)
    await make_account(user, password_hash, held, deps)
    return user


async def claim_both(user_id: uuid.UUID, username: str, email: str, deps: Deps) -> Claim:
    """Claim username and e-mail address for a new account, or neither. Raises UsernameTaken, EmailTaken."""
    wanted = Claim(user_id)
    if (await claim(username_key(username), wanted, deps)).user_id != user_id:
        raise UsernameTaken()
    if (await claim(deps.emails.claim_key(email), wanted, deps)).user_id != user_id:
        await deps.store.release(username_key(username), wanted)
        raise EmailTaken()
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
