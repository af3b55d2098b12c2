"""Logins: how one starts, how its refresh tokens go on, which one a logout means; what a token looks like is in tokens.py."""

import uuid
from dataclasses import replace
from typing import TypeVar

from aviary.user.v1.user_pb2 import LoginResponse, LogoutRequest, RefreshTokenResponse, RegisterResponse

from runtime.context import Caller
from svc_user.deps import Deps
from svc_user.domain.accounts import User, own_view
from svc_user.domain.logins import Refresh, Session, judge_refresh, no_own_login
from svc_user.errors import RefreshTokenInvalid
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


async def start_session(user_id: uuid.UUID, deps: Deps) -> Issued:
    """A new login with its first tokens."""
    session = Session(deps.ids.next(), user_id, generation=0, rotated_at_ms=deps.clock.now_ms())
    await deps.store.insert_session(session)
    return deps.tokens.issue(session)


async def continue_session(presented: Presented, deps: Deps) -> Session:
    """The login of a refresh token, at the generation that follows the token's. Raises RefreshTokenInvalid.

    A lost race makes the presented token an older one, so the rules are applied again; that ends after a few rounds.
    """
    while True:
        session = await deps.store.get_session(presented.session_id)
        if session is None:
            raise RefreshTokenInvalid("the login of the refresh token has ended")
        now = deps.clock.now_ms()
        match judge_refresh(presented.generation, session, now):
            case Refresh.REPEAT:
                return replace(session, generation=presented.generation + 1)
            case Refresh.ROTATE:
                successor = replace(session, generation=session.generation + 1, rotated_at_ms=now)
                if await deps.store.rotate_session(session, successor):
                    return successor
            case Refresh.END:
                await deps.store.end_session(session.session_id)
                raise RefreshTokenInvalid("the refresh token was used before; the login has ended")


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
