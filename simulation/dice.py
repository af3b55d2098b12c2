"""Chance: one seeded source for everything that may happen in any order or at any time; what happens then, others decide."""

import random
from dataclasses import dataclass

_LATE_S = 1.5


@dataclass
class Odds:
    """How bad the weather is: probabilities of what may go wrong each time."""

    late: float = 0.0
    """A way over the network takes much longer than usual."""
    unsure: float = 0.0
    """A write to the database or the broker is not confirmed: done, not done, or done later."""
    slow: float = 0.0
    """A write to the database takes its time."""
    twice: float = 0.0
    """A message is delivered twice."""
    lost: float = 0.0
    """An acknowledgement or a signal is lost."""
    moves: float = 0.0
    """A partition of ordered work gets another owner, and the old one learns it later."""
    dies: float = 0.0
    """A process dies at a fault point that it passes."""


class Dice:
    """Everything random of one run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.roll = self.random.random
        self.odds = Odds()

    def hop(self) -> float:
        """Seconds of one way over the network: a millisecond or two, seldom much longer."""
        roll = self.roll()
        return 0.0003 + 0.003 * roll if roll >= self.odds.late else _LATE_S * self.roll() ** 3

    def signal(self) -> float:
        """Seconds of one way over a connection that is always open."""
        roll = self.roll()
        return 0.0003 + 0.003 * roll if roll >= self.odds.late / 10 else _LATE_S * self.roll() ** 3

    def one_of(self, some: "list[str]") -> str:
        """One of them."""
        return some[int(self.roll() * len(some))]

    def between(self, low: float, high: float) -> float:
        """A number between the two."""
        return low + (high - low) * self.roll()
