"""Which redirect addresses an app may register; that a request names one of them exactly is compared where it is used."""

import re
from urllib.parse import parse_qsl

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""Those of RFC 3986: no spaces, controls, quotes or backslashes, which browsers take for something else."""
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_SCHEMES = "be https, http of the loopback, or have a private scheme with a dot, such as com.example.app:/callback"
_OURS = {"code", "state", "iss", "error", "error_description", "error_uri"}


def problem(uri: str) -> str | None:
    """What is wrong with a redirect address, in words that follow "must"; None when it is allowed."""
    if _CHARACTERS.fullmatch(uri) is None:
        return "hold characters of a URI only"
    if "#" in uri:
        return "have no fragment"
    scheme, _, rest = uri.partition(":")
    if rest.startswith("//"):
        return _problem_of_url(scheme, uri)
    if _PRIVATE_SCHEME.fullmatch(scheme) is None:
        return _SCHEMES
    return _problem_of_query(uri) if rest else "have a path"


def _problem_of_url(scheme: str, uri: str) -> str | None:
    authority = uri.partition("//")[2].partition("/")[0].partition("?")[0]
    if "@" in authority:
        return "have no user name before the host"
    host, port = _split(authority)
    private = _PRIVATE_SCHEME.fullmatch(scheme) is not None
    if scheme == "http" and host not in _LOOPBACK:
        return "be https; http is for the loopback (127.0.0.1, [::1], localhost) alone"
    if scheme not in ("https", "http") and not private:
        return _SCHEMES
    if scheme != "http" and _HOST.fullmatch(host) is None and (host or not private):
        return "name a host in lower case, without wildcards"
    if port and not (port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        return "have a port from 1 to 65535, or none"
    return _problem_of_query(uri)


def _split(authority: str) -> tuple[str, str]:
    """Host and port, empty for none; a colon without a port makes a port that is none."""
    if authority.startswith("["):
        host, _, rest = authority.partition("]")
        return host + "]", rest.removeprefix(":") or rest
    host, colon, port = authority.partition(":")
    return host, port or colon


def _problem_of_query(uri: str) -> str | None:
    names = {name for name, _ in parse_qsl(uri.partition("?")[2], keep_blank_values=True)}
    taken = sorted(names & _OURS)
    return f"not use the parameter {taken[0]}, which the answer needs" if taken else None
