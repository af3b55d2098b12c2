"""Which redirect addresses an app may register."""

import pytest

from svc_user.domain.redirects import problem

ALLOWED = [
    "https://app.example/callback",
    "https://app.example",
    "https://app.example:8443/cb?tenant=7&x",
    "https://xn--bcher-kva.example/cb",
    "http://127.0.0.1:8000/cb",
    "http://[::1]:9/cb",
    "http://localhost/cb",
    "com.example.app:/callback",
    "com.example.app://callback",
]
REFUSED = [
    ("http://app.example/cb", "http is for the loopback"),
    ("http://127.0.0.1.evil.example/cb", "http is for the loopback"),
    ("http://localhost.evil.example/cb", "http is for the loopback"),
    ("https://user@app.example/cb", "no user name"),
    ("https://app.example@evil.example/cb", "no user name"),
    ("http://127.0.0.1@evil.example/", "no user name"),
    ("https://app.example/cb#part", "no fragment"),
    ("https://app.example/cb#", "no fragment"),
    ("https://*.app.example/cb", "without wildcards"),
    ("https://App.example/cb", "lower case"),
    ("HTTPS://app.example/cb", "be https"),
    ("https:///cb", "name a host"),
    ("https://", "name a host"),
    ("https:app.example/cb", "be https"),
    ("https://app.example:99999/", "a port"),
    ("https://app.example:/", "a port"),
    ("https://app.example:80a/", "a port"),
    ("http://[::1]x/", "a port"),
    ("https://app.example/a b", "characters of a URI"),
    ("https://app.example\\@evil.example/", "characters of a URI"),
    ("https://app.example/\r\nset-cookie:x", "characters of a URI"),
    ("https://app.example/\u00e9", "characters of a URI"),
    ('https://app.example/"x', "characters of a URI"),
    ("https://app.example/cb?code=1", "the parameter code"),
    ("com.example.app:/cb?state=1", "the parameter state"),
    ("javascript:alert(1)", "be https"),
    ("data:text/html,x", "be https"),
    ("file:///etc/passwd", "be https"),
    ("myapp:/callback", "private scheme with a dot"),
    ("com.example.app:", "have a path"),
    ("//app.example/cb", "be https"),
    ("/callback", "be https"),
    ("", "characters of a URI"),
]


@pytest.mark.parametrize("uri", ALLOWED)
def test_an_exact_address_of_the_apps_own_is_allowed(uri: str) -> None:
    assert problem(uri) is None


@pytest.mark.parametrize(("uri", "why"), REFUSED)
def test_an_address_that_could_lead_elsewhere_is_refused_with_the_reason(uri: str, why: str) -> None:
    assert why in (problem(uri) or "")
