"""The values that benchmarks produce and what is computed from them: percentiles, ratios, aims. Nothing is measured here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ceiling:
    """What the same run measured of the least that could do the job."""

    what: str
    value: float


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, in which unit, less being better, beside its ceiling and its aim if it has them."""

    benchmark: str
    what: str
    unit: str
    value: float
    ceiling: Ceiling | None = None
    aim: float | None = None
    """The value must be less than this."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the value consists of, by process, in the same unit."""

    @property
    def ratio(self) -> float | None:
        """How many times the ceiling the value is; None without one."""
        return None if self.ceiling is None or self.ceiling.value <= 0 else self.value / self.ceiling.value

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        return None if self.aim is None else self.value < self.aim


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that `share` (0 to 1) of all values do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def each_us(spent_s: Mapping[str, float], count: int) -> dict[str, float]:
    """Seconds of processes as microseconds for each of `count` things; processes that used nothing are left out."""
    return {name: seconds * 1e6 / count for name, seconds in spent_s.items() if seconds > 0}
