"""What travels with a call by itself: the caller, the deadline and the trace; functions below a servicer get the caller as an argument."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ALL_SCOPES = ("read", "write", "follow", "notifications")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a signed-in user, a service of the mesh, both (a service on behalf of a user) or neither."""

    user_id: bytes = b""
    session_id: bytes = b""
    scopes: tuple[str, ...] = ()
    service: str = ""
    role: int = 0
    """A value of aviary.mesh.v1.Role."""


NOBODY = Caller()

_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_trace: ContextVar[str] = ContextVar("trace", default="")


def current_caller() -> Caller:
    """Who made the call that is being served; NOBODY outside of one."""
    return _caller.get()


def current_trace() -> str:
    """The W3C traceparent of the work at hand, empty outside of any."""
    return _trace.get()


def remaining_s() -> float | None:
    """Seconds until the deadline of the work at hand, None when it has none. May be negative."""
    deadline = _deadline.get()
    return None if deadline is None else deadline - asyncio.get_running_loop().time()


@contextmanager
def acting(caller: Caller, deadline_s: float | None = None, trace: str = "") -> Iterator[None]:
    """Do the work of the block for `caller`; calls made in it carry the caller, the time left and the trace."""
    tokens = (_caller.set(caller), _trace.set(trace or _trace.get()))
    end = None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s
    deadline = _deadline.set(end)
    try:
        yield
    finally:
        _caller.reset(tokens[0])
        _trace.reset(tokens[1])
        _deadline.reset(deadline)


def new_trace() -> str:
    """A fresh W3C traceparent, not sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"
