"""Constructor calls that make the pages and routes of OAuth; edge/api.py puts them into the table."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
from aviary.user.v1.apps_pb2_grpc import AppServiceAsyncStub
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.auth import TokenVerifier
from edge.oauth import documents, tokens
from edge.oauth.authorize import PATH as AUTHORIZE_PATH
from edge.oauth.authorize import Authorize
from edge.oauth.documents import KEYS_PATH, METADATA_PATH
from edge.oauth.tokens import Tokens
from edge.pages import Page
from edge.web import JSON, Header, Request, Response

OPEN_PATHS = frozenset({tokens.TOKEN_PATH, tokens.REVOKE_PATH, METADATA_PATH, KEYS_PATH})
"""What pages of any origin may call: who asks there shows what it has in the request, and browsers add nothing of their own."""

_FOR_MINUTES: Header = (b"cache-control", b"public, max-age=300")

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Place:
    """A route of OAuth: where, under which name in metrics, and what it is for."""

    verb: str
    path: str
    name: str
    what: str


SHOW = Place("GET", AUTHORIZE_PATH, "oauth_page", "login and consent page; who decides proves it by a password")
DECIDE = Place(
    "POST", AUTHORIZE_PATH, "oauth_consent", "the decision; a form token bound to the browser, and a password"
)
TOKEN = Place("POST", tokens.TOKEN_PATH, "oauth_token", "an app with its credentials and a code or refresh token")
REVOKE = Place("POST", tokens.REVOKE_PATH, "oauth_revoke", "an app with its credentials")
METADATA = Place("GET", METADATA_PATH, "oauth_metadata", "where all of this is (RFC 8414)")
KEYS = Place("GET", KEYS_PATH, "jwks", "public keys of access tokens")

PLACES = (SHOW, DECIDE, TOKEN, REVOKE, METADATA, KEYS)


def oauth_pages(
    public_url: str, apps: AppServiceAsyncStub, verifier: TokenVerifier, keys: Mapping[str, Ed25519PublicKey]
) -> dict[tuple[str, str], Page]:
    """Pages by method and path. Raises ValueError for an address at which no such server may stand."""
    page, exchange = Authorize(apps, public_url), Tokens(apps, public_url, verifier)
    handlers: dict[Place, Handler] = {
        SHOW: page.show,
        DECIDE: page.decide,
        TOKEN: exchange.token,
        REVOKE: exchange.revoke,
        METADATA: _document(documents.metadata(public_url)),
        KEYS: _document(documents.key_set(keys)),
    }
    return {(place.verb, place.path): Page(place.name, handlers[place]) for place in PLACES}


def _document(content: object) -> Handler:
    body = orjson.dumps(content)

    async def answer(_: Request) -> Response:
        return Response(200, body, JSON, [_FOR_MINUTES])

    return answer
