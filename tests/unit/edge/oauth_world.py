"""The public port over a whole svc_user in memory, a browser that fills in forms, and Authlib's stock client as the app."""

import html
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from aviary.user.v1 import apps_pb2, user_pb2
from aviary.user.v1.apps_pb2_grpc import AppServiceStub, add_AppServiceServicer_to_server
from aviary.user.v1.events_pb2 import AccountChanged, AccountSignal, UserRegistered
from aviary.user.v1.user_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server

from edge.api import build_app, endpoints_of, public_encoder
from edge.auth import TokenVerifier
from edge.login_line import LoginLine
from edge.oauth.build import oauth_pages
from edge.sessions import Sessions
from edge.tarpit import Tarpit
from in_process import InProcessChannel
from runtime.callers import CallerSigner
from runtime.config import Secret
from runtime.guard import Guard
from runtime.http import OpsApp
from svc_user.apps.servicer import AppServicer
from svc_user.servicer import UserServicer
from svc_user.tokens import key_id
from tests.unit.edge.logins import asking
from tests.unit.svc_user.app_world import REDIRECT, VERIFIER, AppWorld
from tests.unit.svc_user.world import PASSWORD, SIGNING_KEY

ISSUER = "https://aviary.example"
KEYS = {key_id(SIGNING_KEY): SIGNING_KEY.public_key()}


class Browser(httpx.AsyncClient):
    """Follows nothing by itself, keeps cookies, fills in the form of a page."""

    async def decide(self, page: httpx.Response, decision: str = "allow", **changed: str) -> httpx.Response:
        fields = {"login": "alice", "password": PASSWORD, "decision": decision, **hidden(page), **changed}
        return await self.post(action(page), data=fields)


class OAuthWorld:
    """What a test of OAuth needs."""

    def __init__(self, users: AppWorld, transport: httpx.ASGITransport) -> None:
        self.users = users
        self.transport = transport
        self.browser = Browser(transport=transport, base_url=ISSUER)
        self.api = httpx.AsyncClient(transport=transport, base_url=ISSUER)
        self.held: list[float] = []
        """Seconds for which each answer was held back."""

    def client(self, app: Any, **more: Any) -> AsyncOAuth2Client:
        """Authlib's client as the developer of the app would make it."""
        return AsyncOAuth2Client(
            client_id=app.client_id,
            client_secret=app.client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if app.client_secret else "none",
            redirect_uri=REDIRECT,
            scope="read write",
            code_challenge_method="S256",
            token_endpoint=f"{ISSUER}/oauth/token",
            transport=self.transport,
            **more,
        )

    async def granted(self, app: Any, **asked: str) -> dict[str, str]:
        """Lets the app in; what the redirect says."""
        page = await self.browser.get(asking_for(app, **asked))
        assert page.status_code == 200, page.text
        return said(await self.browser.decide(page))

    async def token(self, **form: str) -> httpx.Response:
        return await self.api.post("/oauth/token", data=form)

    async def exchange(self, app: Any, code: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        credentials = {
            "client_id": app.client_id,
            **({"client_secret": app.client_secret} if app.client_secret else {}),
        }
        return await self.token(**{**form, **credentials, **changed})


@asynccontextmanager
async def oauth_world() -> AsyncIterator[OAuthWorld]:
    """Public port and svc_user in this process, without a socket."""
    users = AppWorld()
    await users.bus.declare([UserRegistered, AccountChanged])
    channel = InProcessChannel(Guard(CallerSigner(Secret(b"m" * 32), "edge", users.clock)), "edge")
    channel.register(add_UserServiceServicer_to_server, UserServicer(users.deps))
    channel.register(add_AppServiceServicer_to_server, AppServicer(users.deps))
    verifier = TokenVerifier(KEYS, users.clock)
    sessions = Sessions(verifier, UserServiceStub(channel), lambda: users.clock.ms / 1000)
    stop = await users.bus.listen(AccountSignal, sessions.heard)
    contracts = [(user_pb2.DESCRIPTOR, channel), (apps_pb2.DESCRIPTOR, channel)]

    async def hold(seconds: float) -> None:
        world.held.append(seconds)

    app = build_app(
        endpoints_of(contracts, sessions, public_encoder(), line=LoginLine(lambda: users.clock.ms / 1000).of),
        OpsApp(lambda: {}),
        oauth_pages(ISSUER, AppServiceStub(channel), verifier, KEYS),
        tarpit=Tarpit(hold),
    )
    async with asking(sessions):
        world = OAuthWorld(users, httpx.ASGITransport(app))
        async with world.browser, world.api:
            yield world
    await stop()


def asking_for(app: Any, **changed: str | None) -> str:
    """The address to which an app sends its user; None leaves a parameter out."""
    given: dict[str, str | None] = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": REDIRECT,
        "scope": "read write",
        "state": "xyz",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
        **changed,
    }
    return "/oauth/authorize?" + urlencode({name: value for name, value in given.items() if value is not None})


def hidden(page: httpx.Response) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
    return {name: html.unescape(value) for name, value in found}


def action(page: httpx.Response) -> str:
    found = re.search(r'<form method="post" action="([^"]*)">', page.text)
    assert found, page.text
    return html.unescape(found[1])


def said(redirect: httpx.Response) -> dict[str, str]:
    """The parameters of a redirect to the app."""
    assert redirect.status_code == 303, redirect.text
    assert redirect.headers["location"].startswith(f"{REDIRECT}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(redirect.headers["location"]).query).items()}


def user_id(person: bytes) -> str:
    return str(uuid.UUID(bytes=person))
