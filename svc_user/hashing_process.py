"""A process that hashes passwords for svc_user, one at a time, and gives way to everything else; started by hashing.py.

Run as a file, without the rest of Aviary: it starts in a moment, and holds no secret but the password of the moment. A line of JSON asks,
a line answers, the first line says that it is ready. It ends when nobody can ask any more.
"""

import json
import os
import sys
import time
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

_NICE = 5
"""A third of the weight of others, who go first while all cores are wanted; enough remains for logins to go on beside a full machine."""

_SESSION_WEIGHT = Path("/proc/self/autogroup")
_TRIES, _PAUSE_S = 50, 0.1


def argon2id() -> PasswordHasher:
    """Argon2id with 19 MiB, two passes and one lane: about 20 ms of one core."""
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def give_way() -> str:
    """Let others have the processor first; what stood in the way of it, empty when nothing did.

    Linux weighs sessions against each other before it weighs what is in one (autogroups): niceness alone would hold against nobody,
    since this process is a session of its own, as every process of Aviary is. In a container, sessions do not count and niceness does.
    """
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    for _ in range(_TRIES):
        try:
            _SESSION_WEIGHT.write_text(str(_NICE), encoding="ascii")
        except BlockingIOError:
            # Of those who may not do everything the kernel takes one such change in 100 ms.
            time.sleep(_PAUSE_S)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return str(error)
        else:
            return ""
    return "others change the weight of their sessions all the time"


def answer(hasher: PasswordHasher, password: str, stored: str | None) -> str | bool:
    """The hash of a password; with a stored hash, whether it is this password's."""
    if stored is None:
        return hasher.hash(password)
    try:
        return hasher.verify(stored, password)
    except VerifyMismatchError:
        return False


def main() -> None:
    """Answer until the input ends."""
    hasher = argon2id()
    print(json.dumps(give_way()), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(hasher, *json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
