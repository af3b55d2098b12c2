"""Finds hashtags and mentions in text by the rules of twitter-text v3; whose a mentioned name is, is not known here."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from svc_tweet.domain.urls import Span

# Marks that words of some scripts contain, beside letters, combining marks and digits.
_JOINERS = frozenset(
    "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
_NUMBER_SIGN = re.compile("[#＃]")
_NAME = re.compile(
    r"(?:(?<![A-Za-z0-9_!#$%&*@＠])|(?<=\b[Rr][Tt]))[@＠]([A-Za-z0-9_]{1,15})(?![A-Za-z0-9_@＠\u00c0-\u024f]|://)"
)


def find_hashtags(text: str, urls: Sequence[Span]) -> list[Span]:
    """Hashtags with their sign, outside of addresses, in the order of the text. One has at least one letter."""
    return [span for span in _hashtags(text) if not _overlaps(span, urls)]


def find_mentions(text: str, urls: Sequence[Span]) -> list[Span]:
    """Words that may name an account, with their sign, outside of addresses, in the order of the text."""
    spans = (Span(found.start(), found.end()) for found in _NAME.finditer(text))
    return [span for span in spans if not _overlaps(span, urls)]


def _hashtags(text: str) -> Iterator[Span]:
    at = 0
    while sign := _NUMBER_SIGN.search(text, at):
        start = sign.start()
        at = end = _word_end(text, sign.end())
        if start > 0 and (text[start - 1] == "&" or _in_word(text[start - 1])):
            continue
        # A selector or keycap behind the sign makes it an emoji; a second sign or a protocol makes it something else.
        if text.startswith(("\ufe0f", "\u20e3"), start + 1) or text.startswith(("#", "＃", "://"), end):
            continue
        if any(unicodedata.category(char)[0] in "LM" for char in text[start + 1 : end]):
            yield Span(start, end)


def _word_end(text: str, at: int) -> int:
    while at < len(text) and _in_word(text[at]):
        at += 1
    return at


def _in_word(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "LM" or category == "Nd" or char in _JOINERS


def _overlaps(span: Span, urls: Sequence[Span]) -> bool:
    return any(url.start < span.end and span.start < url.end for url in urls)
