"""How many calls a process works on at once, and who is let in when it is nearly full; deadlines and rate limits are elsewhere."""

from prometheus_client import Counter

from runtime.errors import Overloaded

SHED = Counter("aviary_mesh_shed_total", "Calls and requests refused because the process has too much to do.", ["rpc"])

ORDINARY_SHARE = 0.8


class Admission:
    """At most `room` at work: ordinary ones up to 80 % of it, those that come first (home) up to all of it; health is not counted."""

    def __init__(self, room: int) -> None:
        self._room = max(1, room)
        self._ordinary = max(1, int(room * ORDINARY_SHARE))
        self.at_work = 0

    def enter(self, rpc: str, first: bool) -> None:
        """Take a place, to be given back by `leave`. Raises Overloaded: nothing was done, and later it may go."""
        if self.at_work >= (self._room if first else self._ordinary):
            SHED.labels(rpc).inc()
            raise Overloaded("too much is being worked on here", retry_after_s=1)
        self.at_work += 1

    def leave(self) -> None:
        """Give the place back."""
        self.at_work -= 1
