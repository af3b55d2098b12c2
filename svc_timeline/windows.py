"""The cached windows of homes: what they promise, and the Redis lists that keep it; the stored homes are in store.py."""

import hashlib
import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

from readers.recent import KEPT_S, Own, RecentWrites
from redis_client import HASH_TAGS, Commands, Functions, tag
from runtime.errors import Unavailable
from runtime.telemetry import logger
from svc_timeline.config import Limits
from svc_timeline.domain import PLACED, Entry, OwnRecent, Window, arrived_ms

# Keys of one call that pushes: Redis serves nobody else meanwhile, about half a millisecond.
KEYS_A_CALL = 500
# A build of a window that has not ended after this time is dead, its process killed; a reader starts another.
TAKEOVER_MS = 5_000
# Every arrival, for whoever replaces a window; one that is longer by far would have been trimmed.
EVERYTHING = 1_000_000

_ENTRY = struct.Struct(">16s16sBI")
_BARE_ENTRY = struct.Struct(">16s16sB4x")
_LAG_BYTES = 4
_HEADER = struct.Struct(">c16sQI16s")
_READY = b"R"
_BUILDING = b"B"
_TAKEN = ord("1")
_TAGS = [f"{{t{number}}}" for number in range(HASH_TAGS)]


log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Glance:
    """What the cache knows of a reader: the window, None when there is none, and what the reader did lately."""

    window: Window | None
    recent: OwnRecent


class Windows(Protocol):
    """The newest part of homes, as lists of arrivals. Every window may vanish at any time; what it held is in the store.

    Every function raises Unavailable while the cache does not answer; then it may have been done or not.
    """

    async def push(self, user_ids: Sequence[bytes], entry: Entry) -> list[bytes]:
        """Let an entry arrive in the windows of these users that exist, being built included. Answers whose exist.

        Pushing again lets it arrive again. A window that grows too long forgets its earliest arrivals, and its floor rises.
        """

    async def look(self, user_id: bytes, count: int) -> Glance:
        """The `count` latest arrivals of a window, and what its user did lately. The window lives on for its full time.

        A window that is being built is there too, not `ready`; what is missing in it is not known then.
        """

    async def mark_building(self, user_id: bytes, token: bytes) -> bool:
        """Begin to build a window under a token: from now on pushes are kept in it.

        False, and nothing is begun, when it is ready or another builds it. A build that began long ago is taken over.
        """

    async def replace(
        self, user_id: bytes, seen: Window, entries: Sequence[Entry], floor: bytes, *, ready: bool
    ) -> bool:
        """Put `entries`, newest first, in place of all that was seen of a window, with a new floor.

        What was pushed since stays. False, and nothing is changed, when the window was built, replaced or trimmed
        since it was seen. `seen` must be whole.
        """

    async def drop(self, user_id: bytes) -> None:
        """Forget a window; the next reader has it built anew."""


class RedisWindows:
    """Windows as Redis lists, handled by the functions in window.lua."""

    def __init__(
        self,
        redis: Commands,
        namespace: str,
        recent: RecentWrites,
        limits: Limits,
        *,
        takeover_ms: int = TAKEOVER_MS,
    ) -> None:
        self._redis = redis
        library = files("svc_timeline").joinpath("window.lua").read_text("utf-8")
        version = hashlib.blake2b(library.encode(), digest_size=4).hexdigest()
        self._functions = Functions(redis, library.replace("@VERSION@", version))
        self._function_prefix = f"aviary_window_{version}_"
        self._prefixes = {hash_tag: f"{namespace}:{hash_tag}:home:".encode() for hash_tag in _TAGS}
        self._witnesses = {hash_tag: f"{namespace}:{hash_tag}:witness" for hash_tag in _TAGS}
        self._recent = recent
        self._capacity = limits.window
        # Trimming many entries seldom costs less than trimming one at every push.
        self._slack = max(1, limits.window // 8)
        self._ttl_ms = limits.window_ttl_s * 1000
        self._takeover_ms = takeover_ms

    async def start(self) -> None:
        """Say that nothing was forgotten until now, unless it is known since when. For a process that finds every home empty.

        Then no cache can be older than what users did lately. Without Redis nothing is said.
        """
        try:
            for witness in self._witnesses.values():
                await self._redis.execute_command("SET", witness, 0, "NX")
        except Unavailable as error:
            log.warning("cache_away", error=str(error))

    async def push(self, user_ids: Sequence[bytes], entry: Entry) -> list[bytes]:
        """See Windows."""
        have: list[bytes] = []
        args = (self._capacity, self._slack, _packed(entry)[:-_LAG_BYTES])
        for users in _by_tag(user_ids):
            for first in range(0, len(users), KEYS_A_CALL):
                some = users[first : first + KEYS_A_CALL]
                took: bytes = await self._call("push", [self._key(u) for u in some], args)
                have.extend(user_id for user_id, taken in zip(some, took, strict=True) if taken == _TAKEN)
        return have

    async def look(self, user_id: bytes, count: int) -> Glance:
        """See Windows."""
        keys = (self._key(user_id), self._witnesses[tag(user_id)], self._recent.key(user_id))
        known, own, header, length, packed = await self._call("read", keys, (count, self._ttl_ms, KEPT_S * 1000))
        window = _window(header, length, packed) if header else None
        return Glance(window, recent_of(RecentWrites.parse(own), unknown=not known))

    async def mark_building(self, user_id: bytes, token: bytes) -> bool:
        """See Windows."""
        args = (token, self._ttl_ms, self._takeover_ms)
        return bool(await self._call("mark", [self._key(user_id)], args))

    async def replace(
        self, user_id: bytes, seen: Window, entries: Sequence[Entry], floor: bytes, *, ready: bool
    ) -> bool:
        """See Windows."""
        state = _READY if ready else _BUILDING
        args: tuple[bytes | str | int, ...] = (
            seen.header,
            seen.length,
            state,
            floor,
            self._ttl_ms,
            *map(_packed, entries),
        )
        return bool(await self._call("replace", [self._key(user_id)], args))

    async def drop(self, user_id: bytes) -> None:
        """See Windows."""
        await self._redis.execute_command("UNLINK", self._key(user_id))

    async def _call(self, function: str, keys: Sequence[bytes | str], args: Sequence[bytes | str | int]) -> Any:
        return await self._functions.call(self._function_prefix + function, keys, args)

    def _key(self, user_id: bytes) -> bytes:
        return self._prefixes[tag(user_id)] + user_id


def recent_of(writes: Iterable[tuple[bytes, bytes]], unknown: bool) -> OwnRecent:
    """Own writes of the last minute, sorted by what they are."""
    own = Own.of(writes)
    return OwnRecent(list(own.tweets), list(own.deleted), own.graph_version, own.profile_version, unknown)


def _by_tag(user_ids: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    """Users whose keys one function call may name together."""
    groups: dict[str, list[bytes]] = defaultdict(list)
    for user_id in user_ids:
        groups[tag(user_id)].append(user_id)
    return groups.values()


def _packed(entry: Entry) -> bytes:
    """An entry as one that is put in its place."""
    return _ENTRY.pack(*entry, PLACED)


def _window(header: bytes, length: int, packed: bytes) -> Window:
    state, token, _, _, floor = _HEADER.unpack(header)
    entries = list(map(Entry._make, _BARE_ENTRY.iter_unpack(packed)))
    if not entries:
        return Window(state == _READY, token, floor, header, length, entries, math.inf)
    entry_id, _, _, lag_ms = _ENTRY.unpack_from(packed, len(packed) - _ENTRY.size)
    oldest_ms = arrived_ms(entry_id, lag_ms)
    return Window(state == _READY, token, floor, header, length, entries, oldest_ms, lag_ms == PLACED)
