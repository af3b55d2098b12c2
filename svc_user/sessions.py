"""Logins: how one starts, how its refresh tokens go on, how it ends; what a token looks like is in tokens.py."""

import asyncio
import uuid
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from aviary.user.v1.user_pb2 import (
    USER_STATUS_DELETED,
    USER_STATUS_SUSPENDED,
    LoginResponse,
    LogoutRequest,
    RefreshTokenResponse,
    RegisterResponse,
)

from runtime.context import ALL_SCOPES, Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import User, own_view
from svc_user.domain.logins import (
    LOGINS_AN_ACCOUNT,
    REFRESH_GRACE_MS,
    Refresh,
    Session,
    judge_refresh,
    latest_used_first,
    may_rotate_in_ms,
    no_own_login,
)
from svc_user.errors import AccountSuspended, RefreshTokenInvalid, TooManyLogins
from svc_user.tokens import Issued, Presented

R = TypeVar("R", RegisterResponse, LoginResponse, RefreshTokenResponse)


def signed_in(answer: type[R], user: User, issued: Issued, deps: Deps) -> R:
    """What every rpc answers that logs somebody in: the account as its owner sees it, and the tokens."""
    return answer(
        user=own_view(user, deps.emails.open(user.email, user.user_id)),
        access_token=issued.access_token,
        refresh_token=issued.refresh_token,
        token_type=issued.token_type,
        expires_in=issued.expires_in,
    )


async def start_session(
    user_id: uuid.UUID,
    deps: Deps,
    *,
    password_us: int,
    session_id: uuid.UUID | None = None,
    client: str = "",
    address: str = "",
    client_id: str = "",
    scopes: tuple[str, ...] = ALL_SCOPES,
) -> Issued:
    """A new login with its first tokens.

    `password_us`: when the password was set that was proven for it. If it is another one by now, the login has ended before it
    begins, so nobody needs to look whether somebody changes the password meanwhile.
    """
    now = deps.clock.now_ms()
    begun = Session(
        session_id=session_id or deps.ids.next(),
        user_id=user_id,
        generation=0,
        rotated_at_ms=now,
        client_id=client_id,
        scopes=scopes,
        password_us=password_us,
    )
    session = begun.seen(now, client, address)
    await deps.logins.insert_session(session)
    deps.faults.at("user.login.after_session")
    await _end_surplus(user_id, deps)
    return deps.tokens.issue(session)


async def continue_session(
    presented: Presented, deps: Deps, *, client_id: str = "", client: str = "", address: str = ""
) -> Session:
    """The login of a refresh token, at the generation that follows the token's, for the app that it was granted to.

    Raises RefreshTokenInvalid, AccountSuspended, TooManyLogins. A lost race makes the presented token an older one, so the rules
    are applied again; that ends after a few rounds.
    """
    while True:
        session = await deps.logins.get_session(presented.session_id)
        if session is None or session.client_id != client_id:
            raise RefreshTokenInvalid("the login of the refresh token has ended, or it is another app's")
        await _ensure_goes_on(session, deps)
        now = deps.clock.now_ms()
        match judge_refresh(presented.generation, session, now):
            case Refresh.REPEAT:
                again = replace(session, generation=presented.generation + 1)
                # Parallel calls write nothing; who still uses an old token long after is seen, and the login goes on living.
                if now < session.last_seen_ms + REFRESH_GRACE_MS:
                    return again
                if await deps.logins.rotate_session(session, session.seen(now, client, address)):
                    return again
            case Refresh.ROTATE:
                if wait_ms := may_rotate_in_ms(session, now):
                    raise TooManyLogins("the login is refreshed too often", retry_after_s=wait_ms / 1000)
                successor = session.rotated(now).seen(now, client, address)
                deps.faults.at("user.refresh.before_rotation")
                if await deps.logins.rotate_session(session, successor):
                    deps.faults.at("user.refresh.after_rotation")
                    return successor
            case Refresh.END:
                await end_sessions(session.user_id, [session.session_id], deps)
                raise RefreshTokenInvalid("the refresh token was used before; the login has ended")


async def end_sessions(user_id: uuid.UUID, session_ids: Collection[uuid.UUID], deps: Deps) -> None:
    """End logins of an account. When it returns, their refresh tokens are refused and every edge knows, or asks before it believes
    their access tokens. Raises Unavailable when nobody could be told for too long; they have ended, and trying again tells again.
    """
    if not session_ids:
        return
    with deps.signals.doubted_unless_told():
        await asyncio.gather(*(deps.logins.end_session(session_id) for session_id in session_ids))
        deps.faults.at("user.end.after_store")
        await deps.signals.tell(ended_sessions=[session_id.bytes for session_id in session_ids])
    deps.faults.at("user.end.before_answer")
    # Last: as long as it is listed, its owner may end it again.
    await asyncio.gather(*(deps.logins.unlist_session(user_id, session_id) for session_id in session_ids))


async def end_own(session_id: uuid.UUID, caller: Caller, deps: Deps) -> bool:
    """End a login if it is the caller's. False, and nothing, when it is not, or ended long ago."""
    user_id = uuid.UUID(bytes=caller.user_id)
    session = await deps.logins.get_session(session_id)
    own = session.user_id == user_id if session else await deps.logins.is_listed(user_id, session_id)
    if own:
        await end_sessions(user_id, [session_id], deps)
    return own


async def end_others(user_id: uuid.UUID, kept: uuid.UUID, deps: Deps) -> None:
    """End all logins of an account but one, as `end_sessions` does."""
    sessions = await deps.logins.list_sessions(user_id)
    await end_sessions(user_id, [s.session_id for s in sessions if s.session_id != kept], deps)


async def live_sessions(user_id: uuid.UUID, deps: Deps) -> list[Session]:
    """The logins of an account that have not ended, latest used first."""
    async with asyncio.TaskGroup() as group:
        listing = group.create_task(deps.logins.list_sessions(user_id))
        finding = group.create_task(deps.logins.standings([user_id]))
    standing = finding.result().get(user_id)
    return sorted((s for s in listing.result() if standing and standing.keeps(s)), key=latest_used_first)


def session_meant(request: LogoutRequest, caller: Caller, deps: Deps) -> uuid.UUID:
    """The login that a logout is about, whoever's it is. Raises InvalidArgument, naming refresh_token, when it is about none.

    A service that acts for a user without a login has no login of its own to end.
    """
    if not request.HasField("refresh_token") and caller.session_id:
        return uuid.UUID(bytes=caller.session_id)
    presented = deps.tokens.read_refresh(request.refresh_token)
    if presented is None:
        raise no_own_login()
    return presented.session_id


async def _ensure_goes_on(session: Session, deps: Deps) -> None:
    """Raises RefreshTokenInvalid for a login that its account's password or deletion ended, AccountSuspended while it rests."""
    standing = (await deps.logins.standings([session.user_id])).get(session.user_id)
    if standing is None or standing.status == USER_STATUS_DELETED or not standing.keeps(session):
        raise RefreshTokenInvalid("the login of the refresh token has ended")
    if standing.status == USER_STATUS_SUSPENDED:
        raise AccountSuspended("the account is suspended")


async def _end_surplus(user_id: uuid.UUID, deps: Deps) -> None:
    """End the logins of an account that were used longest ago, so that LOGINS_AN_ACCOUNT are left."""
    if await deps.logins.count_listed(user_id) > LOGINS_AN_ACCOUNT:
        latest = sorted(await deps.logins.list_sessions(user_id), key=latest_used_first)
        await end_sessions(user_id, [session.session_id for session in latest[LOGINS_AN_ACCOUNT:]], deps)
