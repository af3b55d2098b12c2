"""The two pages of OAuth, as HTML without a script; when which is shown is decided in authorize.py."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from aviary.user.v1 import apps_pb2

from edge.web import Header, Response

_HTML = b"text/html; charset=utf-8"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
label, input { display: block; width: 100%; box-sizing: border-box; }
input { font: inherit; padding: .5rem; margin-bottom: 1rem; }
button { font: inherit; padding: .5rem 1.5rem; margin-right: .5rem; }
[role=alert] { border: 2px solid #b00020; padding: .5rem 1rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_IN_WORDS = {
    "read": "read what you can read: timelines, lists, your profile without your e-mail address",
    "write": "post, delete posts, like and bookmark as you",
    "follow": "follow, unfollow, block and mute people as you",
    "notifications": "read your notifications and mark them as read",
}
_FOUND_NOWHERE = "'none'"


def sealed(response: Response) -> Response:
    """An answer with what all of these have: kept nowhere, and the address, which holds a code or a state, told to nobody."""
    kept = [header for header in response.headers if header[0] not in (b"cache-control", b"referrer-policy")]
    response.headers = [*kept, (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]
    return response


class Consent:
    """What the page of one request shows, whatever went wrong with the last try."""

    def __init__(self, app: apps_pb2.App, redirect_uri: str, scopes: Sequence[str], query: bytes, token: str) -> None:
        self._policy = f"'self' {form_action(redirect_uri)}"
        self._where = shown_host(redirect_uri)
        self._app, self._scopes, self._query, self._token = app, scopes, query, token

    def response(
        self, status: int = 200, headers: Sequence[Header] = (), *, problem: str = "", login: str = ""
    ) -> Response:
        """The page; `problem` is said above the form, `login` stands in its field again."""
        name = f"<bdi>{escape(self._app.name)}</bdi>"
        may = "".join(f"<li>{escape(_IN_WORDS[scope])}</li>" for scope in self._scopes)
        alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
        body = f"""<h1>Let {name} in?</h1>
<p>{name} asks to use your Aviary account. It could:</p>
<ul>{may}</ul>
<p>It never learns your password. You will be sent on to <strong><bdi>{escape(self._where)}</bdi></strong>. Aviary does not know who
runs this app: go on only if it was you who started this.</p>
{alert}<form method="post" action="/oauth/authorize?{escape(self._query.decode("ascii"))}">
<input type="hidden" name="form_token" value="{escape(self._token)}">
<label for="login">Username or e-mail address</label>
<input id="login" name="login" value="{escape(login)}" autocomplete="username" maxlength="254" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="2048" required>
<button name="decision" value="allow">Log in and allow</button>
<button name="decision" value="deny" formnovalidate>Do not allow</button>
</form>"""
        return _page("Let an app in", body, self._policy, status, headers)


def failure_page(text: str, status: int, headers: Sequence[Header] = ()) -> Response:
    """A page that says why there is nothing to decide; it leads nowhere."""
    return _page(
        "This does not work", f"<h1>This does not work</h1>\n<p>{escape(text)}</p>", _FOUND_NOWHERE, status, headers
    )


def form_action(uri: str) -> str:
    """What a policy has to allow, so that a form may lead to a registered address: browsers hold the redirect against it, too."""
    parts = urlsplit(uri)
    # A policy has no words for addresses of IPv6, and of private schemes none but the scheme.
    if parts.scheme not in ("https", "http") or parts.netloc.startswith("["):
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"


def shown_host(uri: str) -> str:
    """Where a registered address leads, as a user is told: the host, or the private scheme."""
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme in ("https", "http") else f"{parts.scheme} (an app on this device)"


def _page(title: str, body: str, form_to: str, status: int, headers: Sequence[Header]) -> Response:
    document = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Aviary</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {form_to}; base-uri 'none'; frame-ancestors 'none'"
    told: list[Header] = [
        *headers,
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-frame-options", b"DENY"),
    ]
    return sealed(Response(status, document.encode(), _HTML, told))
