"""Becomes the wanted program after tying its life to that of the parent; run by path, never imported by services.

It exists because this must happen between fork and exec, where a parent with threads may not run Python. No program
is known here, only flags: `spawn.py PARENT_PID FLAGS -- COMMAND...`, FLAGS being `m` (no locked memory), `t` (coarse
timers), both or `-`.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_TIMERSLACK = 29
CAP_IPC_LOCK = 14
OPEN_FILES = 65_536
TIMER_SLACK_NS = 1_000_000


def forbid_locked_memory(libc: ctypes.CDLL | None) -> None:
    """Keep mlockall() from succeeding: a JVM that pins all its pages takes three times the memory."""
    if libc is not None and os.geteuid() == 0:
        libc.prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))


def wake_seldom(libc: ctypes.CDLL | None) -> None:
    """Let every thread's short sleeps end up to 1 ms late, so that one that looks for work again and again does so less often."""
    if libc is not None:
        libc.prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0)


def allow_many_files() -> None:
    """Raise the soft limit of open files, which is often 1,024, towards what the user may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def die_with_parent(libc: ctypes.CDLL | None, parent: int) -> None:
    """Ask for SIGKILL when the parent dies; leave at once when it died before we could ask."""
    if libc is not None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def main(arguments: list[str]) -> None:
    """Prepare this process as asked, then replace it by the command (the pid stays)."""
    parent, flags, separator, *command = arguments
    if separator != "--":
        sys.exit("usage: spawn.py PARENT_PID FLAGS -- COMMAND...")
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if "m" in flags:
        forbid_locked_memory(libc)
    if "t" in flags:
        wake_seldom(libc)
    allow_many_files()
    # After the capability change: a change of credentials would clear the death signal.
    die_with_parent(libc, int(parent))
    # A parent that ignores or blocks signals (nohup, a shell's background job) must not make its children deaf.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    os.execvpe(command[0], command, os.environ)


if __name__ == "__main__":
    main(sys.argv[1:])
