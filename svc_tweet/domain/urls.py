"""Finds addresses in text by the rules of twitter-text v3; what they weigh and how they are stored is said elsewhere.

The published pattern is one regular expression whose backtracking takes half a minute on 4 KB of "a.a.a."; this walks the text once.
"""

import re
from typing import NamedTuple

from svc_tweet.domain.tlds import ASCII_TLDS, OTHER_TLDS

_LATIN = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f\u0272\u0289\u028b"
    "\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_NO_DOMAIN = (
    r"\s!'#%&()*+,\\/:;<=>?@\[\]^{|}~$\"`\x00-\x1f\ufffe\ufeff\uffff\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069\u180e"
)

# With a protocol any script may name the domain; without one only Latin letters do, or every abbreviation were an address.
_CANDIDATE = re.compile(
    rf"(?<![A-Za-z0-9@＠$#＃])(?P<protocol>[Hh][Tt][Tt][Pp][Ss]?://)(?P<any>[^{_NO_DOMAIN}]+)"
    rf"|(?P<latin>[A-Za-z0-9{_LATIN}][A-Za-z0-9{_LATIN}._-]*)"
)
_NOT_BEFORE_BARE = frozenset("@＠$#＃-_./\ufffe\ufeff\uffff")
_TLD = re.compile(r"[Xx][Nn]--[-0-9A-Za-z]+|[A-Za-z]+")
_NOT_AFTER_TLD = re.compile(r"[0-9a-zA-Z@+-]")
_LONGEST_OTHER_TLD = max(map(len, OTHER_TLDS))
_LONGEST_LABEL = 63

_PORT = re.compile(r":[0-9]+")
_PATH_CHARS = rf"A-Za-z\u0400-\u04ff0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&{_LATIN}"
_PATH_RUN = re.compile(rf"[{_PATH_CHARS}]+")
_PATH_PARENS = re.compile(rf"\((?:[{_PATH_CHARS}]+|[{_PATH_CHARS}]*\([{_PATH_CHARS}]+\)[{_PATH_CHARS}]*)\)")
_PATH_END = re.compile(rf"[A-Za-z\u0400-\u04ff0-9=_#/+\-{_LATIN}]")
_QUERY = re.compile(r"\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]+")
_QUERY_END = re.compile(r"[A-Za-z0-9\-_&=#/]")


class Span(NamedTuple):
    """A part of a text: code point indices, the end exclusive."""

    start: int
    end: int


def find_urls(text: str) -> list[Span]:
    """Addresses in the order of the text, not overlapping. Takes time in proportion to the text."""
    found: list[Span] = []
    at = 0
    while candidate := _CANDIDATE.search(text, at):
        span = _url_in(text, candidate)
        if span is not None:
            found.append(span)
            at = span.end
        else:
            # Behind a protocol without a domain another one may start: http://https://example.com
            at = candidate.end() if candidate["protocol"] is None else candidate.start("any")
    return found


def _url_in(text: str, candidate: "re.Match[str]") -> Span | None:
    if candidate["protocol"] is not None:
        end = _domain_end(text, *candidate.span("any"))
        return None if end is None else Span(candidate.start(), _tail_end(text, end))
    start, limit = candidate.span()
    if start > 0 and text[start - 1] in _NOT_BEFORE_BARE:
        return None
    end = _domain_end(text, start, limit)
    if end is None:
        return None
    # An underscore may stand in a subdomain, but not in an address without a protocol: it starts behind the last one.
    start = text.rfind("_", start, end) + 1 or start
    port = _PORT.match(text, end)
    has_path = text.startswith("/", port.end() if port else end)
    return Span(start, _tail_end(text, end) if has_path else end)


def _domain_end(text: str, start: int, limit: int) -> int | None:
    """Where the domain that starts here ends: behind the last top-level domain whose labels before it are all well-formed."""
    end = None
    label = start
    while True:
        dot = text.find(".", label, limit)
        if dot < 0 or not _well_formed(text[label:dot]):
            break
        if "_" not in text[label:dot]:
            end = _tld_end(text, dot + 1) or end
        label = dot + 1
    if end is None or not _encodable(text[start:end]):
        return None
    return end


def _well_formed(label: str) -> bool:
    return 0 < len(label) <= _LONGEST_LABEL and label[0] not in "-_" and label[-1] not in "-_"


def _encodable(domain: str) -> bool:
    if domain.isascii():
        return True
    try:
        domain.encode("idna")
    except UnicodeError:
        return False
    return True


def _tld_end(text: str, at: int) -> int | None:
    ascii_tld = _TLD.match(text, at)
    if ascii_tld is not None and not _NOT_AFTER_TLD.match(text, ascii_tld.end()):
        name = ascii_tld[0].lower()
        if name in ASCII_TLDS or name.startswith("xn--"):
            return ascii_tld.end()
    for end in range(min(len(text), at + _LONGEST_OTHER_TLD), at, -1):
        if text[at:end] in OTHER_TLDS and not _NOT_AFTER_TLD.match(text, end):
            return end
    return None


def _tail_end(text: str, at: int) -> int:
    """Where port, path and query behind a domain end."""
    if port := _PORT.match(text, at):
        at = port.end()
    if text.startswith("/", at):
        at = _path_end(text, at)
    if query := _QUERY.match(text, at):
        at = _trimmed(text, query.start() + 1, query.end(), _QUERY_END) or at
    return at


def _path_end(text: str, at: int) -> int:
    end = at + 1
    while True:
        if run := _PATH_RUN.match(text, at):
            at = run.end()
            end = _trimmed(text, run.start(), at, _PATH_END) or end
        elif parens := _PATH_PARENS.match(text, at):
            at = end = parens.end()
        else:
            return end


def _trimmed(text: str, start: int, end: int, last: "re.Pattern[str]") -> int | None:
    """The end of the part without the characters at its end that only punctuate; None when nothing is left."""
    while end > start:
        if last.match(text, end - 1):
            return end
        end -= 1
    return None
