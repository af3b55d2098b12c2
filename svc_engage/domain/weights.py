"""How much an engagement weighs as time passes. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from svc_engage.domain.marks import Listed

HALF_LIFE_MS = 30 * 24 * 3600 * 1000
"""After this time an engagement counts half; functions.lua says it, too."""


def grown(ms: float) -> float:
    """How much more a thing weighs than one that is so much older."""
    return float(2.0 ** (ms / HALF_LIFE_MS))


def weighed(likes: Iterable[Listed], base_ms: int) -> Mapping[bytes, float]:
    """By author the sum of the likes' weights, each 1 at its own time, as they are at `base_ms`."""
    weights: dict[bytes, float] = defaultdict(float)
    for one in likes:
        weights[one.author_id] += grown(one.marked_ms - base_ms)
    return weights
