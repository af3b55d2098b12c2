"""Codes: granted, exchanged once for a login, ended with it when they come again; who may ask is checked in clients.py."""

import uuid

from aviary.user.v1.apps_pb2 import GrantCodeRequest

from svc_user.deps import Deps
from svc_user.domain.apps import App, Code, CodeState, Consent, fits, hashed, is_expired, new_secret, stands
from svc_user.errors import GrantInvalid, UserNotFound
from svc_user.sessions import end_sessions, start_session
from svc_user.tokens import Issued


async def grant(consent: Consent, scopes: tuple[str, ...], request: GrantCodeRequest, deps: Deps) -> str:
    """A code for these scopes of a consent. Raises UserNotFound for an account without a password: nobody logs in to it.

    The code holds the password that was given, not the one of now: who changed it meanwhile did so to keep its knower out.
    """
    if await deps.logins.password(consent.user_id) is None:
        raise UserNotFound("nobody can log in to this account")
    text = new_secret()
    code = Code(
        code_hash=hashed(text),
        client_id=consent.client_id,
        user_id=consent.user_id,
        consent_id=consent.consent_id,
        session_id=deps.ids.next(),
        redirect_uri=request.redirect_uri,
        scopes=scopes,
        challenge=request.code_challenge,
        password_us=request.password_us,
        granted_at_ms=deps.clock.now_ms(),
    )
    await deps.apps.insert_code(code)
    return text


async def find_code(text: str, app: App, redirect_uri: str, verifier: str, deps: Deps) -> Code:
    """The code of this text, for who asked for it. Raises GrantInvalid.

    Whoever has a code and not what fits it, its PKCE verifier above all, learns nothing and changes nothing, neither the code nor
    a login. Who has both and comes a second time has a stolen copy, or was robbed of one: the login ends.
    """
    code = await deps.apps.get_code(hashed(text))
    if code is None or not fits(code, app, redirect_uri, verifier):
        raise GrantInvalid("the code is unknown, expired, or not for this app, address and verifier")
    if code.state != CodeState.GRANTED:
        raise await _repeated(code, deps)
    if is_expired(code, deps.clock.now_ms()):
        raise GrantInvalid("the code has expired; ask the user again")
    return code


async def exchange(code: Code, app: App, address: str, deps: Deps) -> Issued:
    """The tokens of the login that the code makes. Raises GrantInvalid.

    Used up first: who dies after that leaves a code that is worth nothing, and no login. Looked at again last: whoever withdrew the
    app or repeated the code meanwhile either found the login and ended it, or is found here.
    """
    if not await deps.apps.use_code(code.code_hash, deps.ids.next()):
        raise await _repeated(code, deps)
    deps.faults.at("user.exchange.after_code")
    issued = await start_session(
        code.user_id,
        deps,
        password_us=code.password_us,
        session_id=code.session_id,
        client=app.name,
        address=address,
        client_id=app.client_id,
        scopes=code.scopes,
    )
    deps.faults.at("user.exchange.after_login")
    used = await deps.apps.get_code(code.code_hash)
    if used is None or used.state != CodeState.USED or not await is_let_in(code.user_id, code.consent_id, app, deps):
        await end_sessions(code.user_id, [code.session_id], deps)
        raise GrantInvalid("the code was used twice, or the user took it back")
    return issued


async def is_let_in(user_id: uuid.UUID, consent_id: uuid.UUID, app: App, deps: Deps) -> bool:
    """Whether the user still lets the app in, without a break since that consent."""
    return stands(await deps.apps.get_consent(user_id, app.client_id), consent_id)


async def _repeated(code: Code, deps: Deps) -> GrantInvalid:
    """End the login of a code that came a second time, also one that is being made just now."""
    await deps.apps.repeat_code(code.code_hash)
    await end_sessions(code.user_id, [code.session_id], deps)
    return GrantInvalid("the code was used before; the login that it made has ended")
