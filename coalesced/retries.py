"""When a call that failed is made again, by the rules of gRPC's retry policy and retry throttling; what a call is, is not known here."""

import random
from collections.abc import Callable

ATTEMPTS = 3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
MOST_TOKENS, TOKENS_BACK = 20.0, 0.1


class Retries:
    """Shared by the calls of one channel: when more than about one in ten fails, none is made again."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._tokens = MOST_TOKENS

    def answered(self) -> None:
        """A call that may be repeated did not need to be."""
        self._tokens = min(MOST_TOKENS, self._tokens + TOKENS_BACK)

    def pause_s(self, failed: int, *, final: bool) -> float | None:
        """How long to wait after so many vain attempts of a call, None to give it up. `final`: the peer wants none again."""
        self._tokens = max(0.0, self._tokens - 1)
        if final or failed >= ATTEMPTS or self._tokens <= MOST_TOKENS / 2:
            return None
        longest: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failed - 1))
        return longest * (0.8 + 0.4 * self._draw())
