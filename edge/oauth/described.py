"""The routes of OAuth in the OpenAPI document: they speak forms and pages, no rpc of ours does, so they are described by hand."""

from typing import Any

from edge.oauth.build import DECIDE, KEYS, METADATA, REVOKE, SHOW, TOKEN, Place
from edge.web import JSON
from runtime.context import APP_SCOPES

TAG = "oauth"
APP_CREDENTIALS = "appCredentials"
SECURITY_SCHEME: dict[str, Any] = {
    "type": "http",
    "scheme": "basic",
    "description": "client_id and client_secret of an app that has a secret; they may stand in the body instead.",
}

_FORM = "application/x-www-form-urlencoded"
_PROBLEM = {"$ref": "#/components/responses/Problem"}
_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
_TEXT: dict[str, Any] = {"type": "string"}
_ASKED = {
    "response_type": "Always `code`.",
    "client_id": "The app.",
    "redirect_uri": "Where the answer goes: one that the app registered, character by character.",
    "code_challenge": "PKCE: base64url without padding of the SHA-256 of the code_verifier.",
    "code_challenge_method": "Always `S256`.",
    "scope": f"Some of {', '.join(APP_SCOPES)}, separated by spaces; all of the app's when absent.",
    "state": "Comes back with the answer, as it is.",
}
_OPTIONAL = ("scope", "state")
_QUERY = [
    {"name": name, "in": "query", "required": name not in _OPTIONAL, "schema": _TEXT, "description": text}
    for name, text in _ASKED.items()
]
_CREDENTIALS = {
    "client_id": {**_TEXT, "description": "The app, unless Authorization says it."},
    "client_secret": {**_TEXT, "description": "Of an app that has one, unless Authorization says it."},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {**_TEXT, "description": "invalid_request, invalid_client, invalid_grant, invalid_scope, …"},
        "error_description": {**_TEXT, "description": "In words."},
    },
}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "headers": _REQUEST_ID, "content": {JSON.decode(): {"schema": schema}}}


def _page(description: str) -> dict[str, Any]:
    return {"description": description, "headers": _REQUEST_ID, "content": {"text/html": {"schema": _TEXT}}}


def _body(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    return {"required": True, "content": {_FORM: {"schema": schema}}}


def _operation(place: Place, summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "operationId": place.name,
        "tags": [TAG],
        "summary": summary,
        "description": f"{summary}: {place.what}. See docs/oauth.md.",
        "security": [],
        "parameters": [],
        "responses": {**responses, "default": _PROBLEM},
        **more,
    }


_REDIRECT = {
    "description": "To redirect_uri, with `code`, or `error`; and with `state` and `iss`.",
    "headers": {**_REQUEST_ID, "Location": {"schema": _TEXT, "description": "The address."}},
}
_NO_REDIRECT = _page("The app or its address is unknown, or something else is wrong that nobody may be sent on with.")
_PAGES = {"303": _REDIRECT, "4XX": _NO_REDIRECT, "5XX": _page("Something that this needs is down.")}
_REFUSED = {"400": _json("Refused, in words of RFC 6749.", _ERROR), "401": _json("Not the app that it says.", _ERROR)}
_TOKENS = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "refresh_token", "scope"],
    "properties": {
        "access_token": {**_TEXT, "description": "For `Authorization: Bearer`."},
        "token_type": {**_TEXT, "const": "Bearer"},
        "expires_in": {"type": "integer", "description": "Seconds until it expires."},
        "refresh_token": {**_TEXT, "description": "Buys the next tokens, once."},
        "scope": {**_TEXT, "description": "What was granted."},
    },
}
_DECISION = {
    "form_token": {**_TEXT, "description": "From the page."},
    "decision": {**_TEXT, "enum": ["allow", "deny"]},
    "login": {**_TEXT, "description": "Username or e-mail address."},
    "password": {**_TEXT, "description": "Password."},
}
_EXCHANGED = {
    "grant_type": {**_TEXT, "enum": ["authorization_code", "refresh_token"]},
    "code": {**_TEXT, "description": "The code, good once, for 60 seconds."},
    "redirect_uri": {**_TEXT, "description": "As in the request for the code."},
    "code_verifier": {**_TEXT, "description": "PKCE: 43 to 128 characters."},
    "refresh_token": {**_TEXT, "description": "Instead of a code."},
    "scope": {**_TEXT, "description": "With a refresh token: fewer scopes than were granted."},
    **_CREDENTIALS,
}
_REVOKED = {
    "token": {**_TEXT, "description": "Access or refresh token."},
    "token_type_hint": {**_TEXT, "enum": ["access_token", "refresh_token"]},
    **_CREDENTIALS,
}
_BY_APP: dict[str, Any] = {"security": [{}, {APP_CREDENTIALS: []}]}
_METADATA = {"type": "object", "additionalProperties": True}
_KEYS = {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": {"type": "object"}}}}

PATH_ITEMS: dict[str, dict[str, Any]] = {
    SHOW.path: {
        "get": _operation(SHOW, "Lets a user let an app in", {"200": _page("The page."), **_PAGES}, parameters=_QUERY),
        "post": _operation(
            DECIDE,
            "What the user decided",
            _PAGES,
            parameters=_QUERY,
            requestBody=_body(["form_token", "decision"], _DECISION),
        ),
    },
    TOKEN.path: {
        "post": _operation(
            TOKEN,
            "Exchanges a code or a refresh token for tokens",
            {"200": _json("Tokens.", _TOKENS), **_REFUSED},
            requestBody=_body(["grant_type"], _EXCHANGED),
            **_BY_APP,
        )
    },
    REVOKE.path: {
        "post": _operation(
            REVOKE,
            "Ends the login of a token",
            {"200": _json("It is worth nothing, or never was.", {"type": "object"}), **_REFUSED},
            requestBody=_body(["token"], _REVOKED),
            **_BY_APP,
        )
    },
    METADATA.path: {"get": _operation(METADATA, "Where all of this is", {"200": _json("RFC 8414.", _METADATA)})},
    KEYS.path: {"get": _operation(KEYS, "Keys of access tokens", {"200": _json("RFC 7517.", _KEYS)})},
}
