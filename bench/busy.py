"""A process that uses a share of one processor, a millisecond at a time, and does nothing: what sharing a machine costs by itself."""

import json
import sys
import time

_STEP_S = 0.001


def main() -> None:
    """Use the share, 0 to 1, that stands on standard input, until ended."""
    share: float = json.loads(sys.stdin.readline())
    begun = time.perf_counter()
    while True:
        # By the time that has passed: what a late wake-up left out is used at once.
        if time.process_time() < share * (time.perf_counter() - begun):
            _use(_STEP_S)
        else:
            time.sleep(_STEP_S)


def _use(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


if __name__ == "__main__":
    main()
