"""An app, a user who lets it in, and the calls of the protocol as the edge makes them."""

import uuid
from typing import Any

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from aviary.user.v1.apps_pb2 import (
    AppTokens,
    ExchangeCodeRequest,
    GrantCodeRequest,
    RefreshAppTokenRequest,
    RegisterAppRequest,
    RegisterAppResponse,
    RevokeAppTokenRequest,
)

from runtime.context import APP_SCOPES, acting
from tests.unit.svc_user.world import SERVICE, World, signed_in

REDIRECT = "https://app.example/callback"
VERIFIER = "v" * 43
CHALLENGE = create_s256_code_challenge(VERIFIER)


class AppWorld(World):
    """svc_user with what the tests of apps do again and again."""

    async def person(self, username: str = "alice") -> bytes:
        return uuid.UUID((await self.register(username)).user.user_id).bytes

    async def app(self, owner: bytes, **fields: Any) -> RegisterAppResponse:
        given = {"name": "Chirper", "redirect_uris": [REDIRECT], "scopes": list(APP_SCOPES), **fields}
        with acting(signed_in(owner)):
            answer: RegisterAppResponse = await self.apps.RegisterApp(RegisterAppRequest(**given))
        return answer

    async def password_us(self, user_id: bytes) -> int:
        """Since when the account has its password, as Authenticate says it."""
        password = await self.deps.logins.password(uuid.UUID(bytes=user_id))
        return password.changed_us if password else 0

    async def grant(self, user_id: bytes, app: RegisterAppResponse, **fields: Any) -> str:
        given = {
            "password_us": await self.password_us(user_id),
            "user_id": user_id,
            "client_id": app.client_id,
            "redirect_uri": REDIRECT,
            "scopes": ["read", "write"],
            "code_challenge": CHALLENGE,
            **fields,
        }
        with acting(SERVICE):
            code: str = (await self.apps.GrantCode(GrantCodeRequest(**given))).code
        return code

    async def exchange(self, app: RegisterAppResponse, code: str, **fields: Any) -> AppTokens:
        given = {
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
            **fields,
        }
        with acting(SERVICE):
            tokens: AppTokens = (await self.apps.ExchangeCode(ExchangeCodeRequest(**given))).tokens
        return tokens

    async def let_in(self, user_id: bytes, app: RegisterAppResponse, **fields: Any) -> AppTokens:
        return await self.exchange(app, await self.grant(user_id, app, **fields))

    async def refresh(self, app: RegisterAppResponse, token: str, **fields: Any) -> AppTokens:
        given = {"client_id": app.client_id, "client_secret": app.client_secret, "refresh_token": token, **fields}
        with acting(SERVICE):
            tokens: AppTokens = (await self.apps.RefreshAppToken(RefreshAppTokenRequest(**given))).tokens
        return tokens

    async def revoke(self, app: RegisterAppResponse, token: str = "", **fields: Any) -> None:
        given = {"client_id": app.client_id, "client_secret": app.client_secret, "token": token, **fields}
        with acting(SERVICE):
            await self.apps.RevokeAppToken(RevokeAppTokenRequest(**given))
