"""What travels with a call by itself: the caller, the deadline and the trace; functions below a servicer get the caller as an argument."""

import asyncio
import os
from contextvars import ContextVar, Token
from dataclasses import dataclass

APP_SCOPES, OWN_SCOPE = ("read", "write", "follow", "notifications"), "account"
"""What a third-party app may be granted, and the account itself, which no app may touch."""
ALL_SCOPES = (*APP_SCOPES, OWN_SCOPE)
TOKENS_OF = "aviary"
"""Issuer and audience of access tokens."""


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
_Work = tuple[Caller, float | None, str]
_NO_WORK: _Work = (NOBODY, None, "")
# Caller, end on the loop's clock and trace in one variable, not three: setting it is part of every call.
_work: ContextVar[_Work] = ContextVar("work", default=_NO_WORK)


def current_caller() -> Caller:
    """Who made the call that is being served; NOBODY outside of one."""
    return _work.get()[0]


def current_trace() -> str:
    """The W3C traceparent of the work at hand, empty outside of any."""
    return _work.get()[2]


def begin(caller: Caller, deadline_s: float | None = None, trace: str = "") -> Token[_Work]:
    """What follows is work for `caller`, until `end`; calls made in it carry the caller, the time left and the trace."""
    due = None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s
    return _work.set((caller, due, trace or _work.get()[2]))


end = _work.reset
"""Ends what `begin` began."""


class acting:  # noqa: N801 - it is used as a function
    """Do the work of the block for `caller`, as `begin` says."""

    __slots__ = ("_said", "_work")
    _work: Token[_Work]

    def __init__(self, caller: Caller, deadline_s: float | None = None, trace: str = "") -> None:
        self._said = (caller, deadline_s, trace)

    def __enter__(self) -> None:
        """Begin."""
        self._work = begin(*self._said)

    def __exit__(self, *_: object) -> None:
        """End."""
        end(self._work)


def carried() -> tuple[Caller, float | None, str]:
    """Caller, seconds left (None without a deadline, perhaps negative) and trace of the work at hand, at once."""
    caller, due, trace = _work.get()
    return caller, None if due is None else due - asyncio.get_running_loop().time(), trace


def new_trace() -> str:
    """A fresh W3C traceparent, not sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"


def told_to_stop() -> bool:
    """Whether the current task is being cancelled, rather than something that it awaited was. Loops ask it, too: what they
    await may swallow a cancellation that meets an answer, as `asyncio.wait_for` before Python 3.12, and it comes only once.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
