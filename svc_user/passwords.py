"""Passwords: which are refused, and who may have one hashed; how that is done is hashing.py, where the hashes lie the store's matter."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flights.gathering import Gathering
from runtime.errors import FieldProblem, InvalidArgument
from svc_user.errors import PasswordTooCommon, TooManyLogins
from svc_user.hashing import Hashing

RETRY_AFTER_S = 1.0
LONGEST_WAIT_S = 4.0
"""For a place's turn, as fast as hashing goes at the time: well within the deadlines of those who come (10 s)."""

_LEAST, _MOST = 8, 128
_NEWS = 0.2
"""How much the time of one hash tells of the next one's, against those before it."""


def common_passwords() -> frozenset[str]:
    """The passwords of at least 8 characters that people use most, in lower case."""
    lines = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def prepared(password: str) -> str:
    """What is hashed, one and the same however a keyboard sends it: letters composed (NFC), every space the plain one (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", "".join(" " if unicodedata.category(c) == "Zs" else c for c in password))


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    """One hashing; no two are the same."""

    password: str
    stored: str | None


class Passwords:
    """Hashes and checks passwords, as many at a time as `hashing` takes, for those who have a place in the line.

    What is hashed is what `prepared` makes of a password; nothing is trimmed.
    """

    def __init__(
        self,
        hashing: Hashing,
        common: frozenset[str],
        nobodys: str,
        waiting: int,
        monotonic: Callable[[], float],
    ) -> None:
        """`nobodys`: a hash that costs as much as all and is no password's. `waiting`: places beside those whose turn it is."""
        self._hashing = hashing
        self._common = common
        self._nobodys = nobodys
        self._places = hashing.at_once + waiting
        self._taken = 0
        self._now = monotonic
        self._each_s = 0.0
        self._line: Gathering[_Job, str | bool] = Gathering(self._do, together=1, at_once=hashing.at_once)

    def ensure_good(self, password: str, field: str = "password") -> None:
        """Raise, naming the field, InvalidArgument for a password too short or too long, and PasswordTooCommon for one that, in any case,
        everybody tries first.
        """
        given = prepared(password)
        if not _LEAST <= len(given) <= _MOST:
            text = f"must be {_LEAST} to {_MOST} characters, as Unicode composes them"
            raise InvalidArgument(f"the password {text}", fields=[FieldProblem(field, text)])
        if given.lower() in self._common:
            text = "is among the most common passwords"
            raise PasswordTooCommon(f"the password {text}", fields=[FieldProblem(field, text)])

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """A place in the line, up to the end of the block. Raises TooManyLogins at once when there is none.

        To be taken before anything is asked for a password's sake: who is refused then costs nothing. There is none when all are taken,
        and when hashing is so slow just now that the turn of one more would come too late to be answered.
        """
        ahead = self._taken - self._hashing.at_once + 1
        if self._taken >= self._places or ahead * self._each_s > LONGEST_WAIT_S * self._hashing.at_once:
            raise TooManyLogins("too many passwords are being checked", retry_after_s=RETRY_AFTER_S)
        self._taken += 1
        try:
            yield Place(self._line, self._nobodys)
        finally:
            self._taken -= 1

    async def _do(self, jobs: list[_Job]) -> Mapping[_Job, str | bool]:
        [job] = jobs
        began = self._now()
        if job.stored is None:
            done: str | bool = await self._hashing.hash(job.password)
        else:
            done = await self._hashing.matches(job.stored, job.password)
        self._each_s += _NEWS * (self._now() - began - self._each_s)
        return {job: done}


class Place:
    """What who has a place may do; its turn comes in the order in which hashing is asked for."""

    def __init__(self, line: Gathering[_Job, str | bool], nobodys: str) -> None:
        self._line = line
        self._nobodys = nobodys

    async def hash(self, password: str) -> str:
        """The hash to store, salt and parameters included. Raises Unavailable."""
        return str(await self._line.of(_Job(prepared(password), None)))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of the stored hash; without a hash, False at the same cost. Raises Unavailable."""
        right = await self._line.of(_Job(prepared(password), stored or self._nobodys))
        return bool(right) and stored is not None
