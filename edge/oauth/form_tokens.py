"""Proof that a form which arrives is one that we showed to this browser, for this request; who fills it in proves more by a password."""

import hashlib
import hmac
import re
import secrets

from edge.web import Header, Request

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_BYTES = 32
_OF_OURS = (b"same-origin", b"none")


class FormTokens:
    """A form carries the MAC of its query under a secret that lies in a cookie: another site can read neither and set neither.

    The cookie says nothing about who somebody is, lives as long as the browser's window and is the same for all of its tabs.
    """

    def __init__(self, *, https: bool) -> None:
        # With the prefix no other host of the domain can set it; browsers take that over https alone.
        self._name = "__Host-aviary-form" if https else "aviary-form"
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if https else "")

    def issue(self, request: Request) -> tuple[str, list[Header]]:
        """The token of the form that answers a request, and the headers that go with it."""
        secret = self._secret(request)
        if secret is not None:
            return _mac(secret, request), []
        secret = secrets.token_urlsafe(_BYTES)
        cookie = f"{self._name}={secret}{self._attributes}"
        return _mac(secret, request), [(b"set-cookie", cookie.encode())]

    def is_ours(self, request: Request, token: str) -> bool:
        """Whether a form with this token is one that we showed to this browser for the same query."""
        secret = self._secret(request)
        if secret is None or request.headers.get(b"sec-fetch-site", b"none") not in _OF_OURS:
            return False
        return hmac.compare_digest(_mac(secret, request).encode(), token.encode())

    def _secret(self, request: Request) -> str | None:
        for part in request.headers.get(b"cookie", b"").decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._name and _SECRET.fullmatch(value):
                return value
        return None


def _mac(secret: str, request: Request) -> str:
    return hmac.new(secret.encode(), b"form:" + request.query, hashlib.sha256).hexdigest()
