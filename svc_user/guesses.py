"""Who may try another password: tries are counted before they are judged, and right ones are taken back. Passwords are in passwords.py."""

import asyncio
import hashlib
import hmac
import ipaddress
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Counter

from runtime.config import Secret
from runtime.ids import Clock
from svc_user.domain.accounts import NO_ACCOUNT
from svc_user.errors import TooManyGuesses
from svc_user.guess_counts import Counts, Limit
from svc_user.store_sessions import SessionStore

AT_ONE = Limit(10, 15 * 60_000)
"""Wrong passwords for one name from one address, and for one account by all of its names."""

FROM_ONE = Limit(100, 3600_000)
"""Wrong passwords from one address, whatever the names."""

BY_STRANGERS = Limit(100, 3600_000)
"""Wrong passwords for one name, after which only addresses may try from which its owner came within 30 days."""

GUESSES = Counter("aviary_user_guesses_total", "Passwords that were tried, by what became of it.", ["outcome"])


class Attempt:
    """A try of a password, and whether it was right: None while nobody has judged. A void one is wrong whatever it was."""

    def __init__(self, void: bool) -> None:
        self.right: bool | None = None
        self._void = void

    def judge(self, right: bool) -> None:
        """Say whether the password is the right one."""
        self.right = right and not self._void


class Guesses:
    """Limits how often passwords are guessed.

    Names that nobody has are counted as all others, so being refused says nothing about a name. Addresses and names are known to the
    counts as keyed hashes alone. What is counted here does not depend on AVIARY_RATE_LIMIT_SCALE.
    """

    def __init__(self, counts: Counts, logins: SessionStore, secret: Secret, clock: Clock) -> None:
        self._counts = counts
        self._logins = logins
        self._secret = secret.value
        self._clock = clock

    @asynccontextmanager
    async def attempt(
        self, name: bytes, user_id: uuid.UUID | None, address: str, *, hidden: bool = False
    ) -> AsyncIterator[Attempt]:
        """Around the judging of a password: `name` as it is claimed, `user_id` whose it is, if anybody's. Raises TooManyGuesses.

        Too many for one account by several of its names: where it is `hidden` which names belong together, the attempt is void.
        Only what was judged wrong stays counted: who got no answer, because a server was away or too many came, has learnt nothing.
        """
        origin = origin_of(address)
        taken, void = await self._take(name, user_id, origin, hidden)
        attempt = Attempt(void)
        try:
            yield attempt
        finally:
            GUESSES.labels({True: "right", False: "wrong", None: "unanswered"}[attempt.right]).inc()
            if attempt.right is not False:
                await self._give_back(taken)
        if attempt.right and user_id and origin:
            await self._logins.remember_address(user_id, self._digest(b"known", origin))

    async def _take(
        self, name: bytes, user_id: uuid.UUID | None, origin: bytes, hidden: bool
    ) -> tuple[list[tuple[str, Limit]], bool]:
        """What was counted, and whether the attempt is void."""
        now = self._clock.now_ms()
        limited = [
            (self._digest(b"one", name, origin).hex(), AT_ONE),
            (self._digest(b"name", name).hex(), BY_STRANGERS),
            (self._digest(b"account", user_id.bytes if user_id else name, origin).hex(), AT_ONE),
        ]
        if origin:
            limited.append((self._digest(b"from", origin).hex(), FROM_ONE))
        # Everything is asked for names that nobody has, too: how long it takes says nothing about them. What may fail comes first.
        is_known = await self._logins.knows_address(user_id or NO_ACCOUNT, self._digest(b"known", origin))
        waits = await asyncio.gather(*(self._counts.take(key, limit, now) for key, limit in limited))
        taken = [counted for counted, wait in zip(limited, waits, strict=True) if not wait]
        if is_known:
            waits[1] = waits[2] = 0
        void = hidden and waits[2] > 0
        if void:
            waits[2] = 0
        if any(waits):
            await self._give_back(taken)
            GUESSES.labels("refused").inc()
            raise TooManyGuesses("too many wrong passwords were tried", retry_after_s=max(waits) / 1000)
        return taken, void

    async def _give_back(self, taken: list[tuple[str, Limit]]) -> None:
        now = self._clock.now_ms()
        await asyncio.gather(*(self._counts.give_back(key, limit, now) for key, limit in taken))

    def _digest(self, kind: bytes, *parts: bytes) -> bytes:
        text = b"\0".join((b"guess:" + kind, *parts))
        return hmac.digest(self._secret, text, hashlib.sha256)[:16]


def origin_of(address: str) -> bytes:
    """What counts as one address: of IPv6 the network of 64 bits, which one subscriber has whole; empty for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return b""
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped.packed if parsed.ipv4_mapped else parsed.packed[:8]
    return parsed.packed
