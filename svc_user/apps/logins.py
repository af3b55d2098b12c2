"""Logins of apps after the first tokens: the next ones, and their end; codes.py makes them."""

import uuid

from svc_user.deps import Deps
from svc_user.domain.apps import App
from svc_user.domain.logins import Session
from svc_user.errors import GrantInvalid, RefreshTokenInvalid
from svc_user.sessions import continue_session, end_sessions


async def refreshed(token: str, app: App, address: str, deps: Deps) -> Session:
    """The login of an app's refresh token, at its next generation. Raises GrantInvalid, AccountSuspended.

    A login whose app was withdrawn meanwhile, by somebody who died before it was ended, ends here.
    """
    presented = deps.tokens.read_refresh(token)
    if presented is None:
        raise GrantInvalid("the refresh token is malformed or forged")
    try:
        session = await continue_session(presented, deps, client_id=app.client_id, client=app.name, address=address)
    except RefreshTokenInvalid as error:
        raise GrantInvalid(error.detail) from error
    consent = await deps.apps.get_consent(session.user_id, app.client_id)
    if consent is None or consent.withdrawn:
        await end_sessions(session.user_id, [session.session_id], deps)
        raise GrantInvalid("the user took back what the app was let in to do")
    return session


async def end_if_of(app: App, session_id: uuid.UUID, deps: Deps) -> None:
    """End a login, if it is one of this app."""
    session = await deps.logins.get_session(session_id)
    if session is not None and session.client_id == app.client_id:
        await end_sessions(session.user_id, [session_id], deps)
