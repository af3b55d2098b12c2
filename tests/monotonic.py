"""A monotonic clock for tests that is moved by hand."""


class Monotonic:
    """Seconds that pass only by `advance`."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
