"""How long a tweet is: weighted as twitter-text v3 does. What is too long, and what follows from it, is decided elsewhere."""

from collections.abc import Sequence

from emoji import EMOJI_DATA

from svc_tweet.domain.urls import Span

MAX_WEIGHT = 280
URL_WEIGHT = 23

# Latin to Georgian and the usual spaces and quotation marks weigh 1, all else 2.
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))

# Single code points need no table: those of emoji weigh 2 anyway, and © and ® are text unless a selector follows.
_SEQUENCES = frozenset(sequence for sequence in EMOJI_DATA if len(sequence) > 1)
_STARTS = frozenset(sequence[0] for sequence in _SEQUENCES)
_LONGEST = max(map(len, _SEQUENCES))


def weighted_length(text: str, urls: Sequence[Span]) -> int:
    """Units of a text in NFC: 23 an address, 2 an emoji sequence or a code point outside the light ranges, else 1. A line end is 1."""
    total = 0
    at = 0
    for url in urls:
        total += _weight(text[at : url.start]) + URL_WEIGHT
        at = url.end
    return total + _weight(text[at:])


def _weight(text: str) -> int:
    lines = text.replace("\r\n", "\n")
    if lines.isascii():
        return len(lines)
    total = at = 0
    while at < len(lines):
        size = _sequence_at(lines, at) if lines[at] in _STARTS else 0
        total += 2 if size else _weight_of(ord(lines[at]))
        at += size or 1
    return total


def _sequence_at(text: str, at: int) -> int:
    """Code points of the longest emoji sequence that starts here, 0 when none does."""
    for size in range(min(_LONGEST, len(text) - at), 1, -1):
        if text[at : at + size] in _SEQUENCES:
            return size
    return 0


def _weight_of(code_point: int) -> int:
    return 1 if any(low <= code_point <= high for low, high in _LIGHT) else 2
