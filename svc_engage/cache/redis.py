"""Counts, marks and interactions in Redis: what the keys hold; what is promised of them is in port.py, what is written in functions.lua."""

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from struct import Struct
from typing import Any

import hiredis
from prometheus_client import Counter
from redis.exceptions import ResponseError

from readers import recent
from readers.recent import GRAPH_VERSION, KEPT_ENTRIES, KEPT_S, RecentWrites
from redis_client import HASH_TAGS, Functions, tag
from redis_client.line import Line, Replies, Word
from runtime.errors import Unavailable
from runtime.ids import ms_of
from runtime.telemetry import logger
from svc_engage.cache.port import AUTHORS_KEPT, MARKS_KEPT, MARKS_MOST, Glance, Interactions, Marks
from svc_engage.domain.families import SLOT_OF, Family, Slots
from svc_engage.domain.marks import Mark, MarkKind
from svc_engage.domain.overlay import NOTHING_RECENT, Both, OwnRecent, Stated, latest_likes, own_recent
from svc_engage.domain.relations import Count, Subject

COUNTS_KEPT_MS = 10 * 60 * 1000
"""So long counts are remembered after they were filled or changed: bounds how long a change that never came here is not seen."""

MARKS_KEPT_MS = 30 * 60 * 1000
"""The same of a user's marks and interactions, after they were filled."""

# Keys of one call that writes: Redis serves nobody else meanwhile, about half a millisecond.
_KEYS_A_CALL = 200
_OWED_MOST = 100_000
_OWED_EVERY_S = 0.2
_BUILD_MS = 60_000

_SLOT = Struct(">QQ")
_STATE = Struct(">?Q?Q")
_BASE = Struct(">d")
_WEIGHT = Struct(">16sd")
_PACKED = {family: Struct(">" + "QQ" * len(family.value)) for family in Family}
_VALUE = {family: Struct(">8x" + "QQ" * len(family.value)) for family in Family}
_FLOOR = b"floor"
_TAGS = [f"{{t{number}}}" for number in range(HASH_TAGS)]

log = logger(__name__)
MISSED = Counter(
    "aviary_engage_marks_missed_total", "Likes and bookmarks that could not be remembered in Redis at once."
)


class RedisCountCache:
    """See CountCache. Reads are plain commands, which cost Redis half of what a function does."""

    def __init__(
        self, line: Line, namespace: str, *, marks_kept: int = MARKS_KEPT, marks_most: int = MARKS_MOST
    ) -> None:
        self._line = line
        library = files("svc_engage.cache").joinpath("functions.lua").read_text("utf-8")
        version = hashlib.blake2b(library.encode(), digest_size=4).hexdigest()
        self._functions = Functions(line, library.replace("@VERSION@", version))
        self._function_prefix = f"aviary_engage_{version}_"
        self._counts: dict[tuple[Family, str], bytes] = {}
        self._users: dict[tuple[str, str], str] = {}
        for hash_tag in _TAGS:
            self._counts[Family.TWEET, hash_tag] = f"{namespace}:tweet_counts:{hash_tag}:".encode()
            self._counts[Family.USER, hash_tag] = f"{namespace}:user_counts:{hash_tag}:".encode()
            self._users["marks", hash_tag] = f"{namespace}:marks:{hash_tag}:"
            self._users["interactions", hash_tag] = f"{namespace}:interactions:{hash_tag}:"
            self._users["recent", hash_tag] = f"{namespace}:recent:{hash_tag}:"
        self._marks_most, self._marks_kept = marks_most, marks_kept
        self._owed: set[bytes] = set()
        self._paying: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End what is being done. What is owed is forgotten: marks that were missed are filled anew within half an hour."""
        if self._paying is not None:
            self._paying.cancel()
            await asyncio.gather(self._paying, return_exceptions=True)

    @property
    def owes(self) -> int:
        """Of how many users the marks are to be forgotten as soon as Redis answers."""
        return len(self._owed) + (self._paying is not None)

    async def record(self, user_id: bytes, kind: bytes, value: bytes) -> bool:
        """As readers.recent.RecentWrites.record, but on the line: a Redis that hangs holds a like up for a quarter of a second."""
        key = self._key("recent", user_id)
        push = ("LPUSH", key, kind + value), ("LTRIM", key, 0, KEPT_ENTRIES - 1), ("EXPIRE", key, KEPT_S)
        try:
            _answers(await self._line.ask(*push))
        except Unavailable as error:
            recent.MISSED.inc()
            log.warning("recent_write_missed", error=str(error))
            return False
        return True

    async def put(self, counts: Mapping[Subject, Count]) -> None:
        """See CountCache."""
        groups: dict[tuple[Family, str], list[tuple[bytes, int, bytes]]] = defaultdict(list)
        for (subject_id, kind), count in counts.items():
            family, number = SLOT_OF[kind]
            packed = _SLOT.pack(count.count, count.as_of)
            groups[family, tag(subject_id)].append((subject_id, number, packed))
        for (family, hash_tag), group in groups.items():
            prefix = self._counts[family, hash_tag]
            for some in _chunks(group):
                values: list[Word] = [word for _, number, packed in some for word in (number, packed)]
                head = (COUNTS_KEPT_MS, os.urandom(8), len(family.value))
                await self._call("put", [prefix + subject_id for subject_id, _, _ in some], [*head, *values])

    async def look(self, family: Family, viewer_id: bytes, ids: Sequence[bytes]) -> Glance:
        """See CountCache."""
        commands: list[Sequence[Word]] = [("MGET", *keys) for keys in self._keys_by_tag(family, ids)]
        counting = len(commands)
        if viewer_id:
            commands.append(("LRANGE", self._key("recent", viewer_id), 0, -1))
            if family is Family.TWEET:
                commands.append(("HMGET", self._key("marks", viewer_id), _FLOOR, *ids))
        # What Redis has of a user whose newest mark it missed is not believed, unless the order to forget it goes before.
        believed = family is Family.TWEET and viewer_id not in self._owed
        replies = _answers(await self._line.ask(*commands))
        counts = _counts(family, self._in_order(ids, replies[:counting]))
        if not viewer_id:
            return Glance(counts)
        lately = _lately(family, ids, replies[counting])
        marks = _marks(ids, replies[counting + 1]) if believed else Marks()
        return Glance(counts, marks, lately)

    async def recent_likes(self, user_id: bytes) -> Mapping[bytes, int]:
        """See CountCache."""
        raw: list[bytes] = await self._line.execute_command("LRANGE", self._key("recent", user_id), 0, -1)
        return latest_likes(own_recent(RecentWrites.parse(raw)))

    async def reserve(self, family: Family, ids: Sequence[bytes]) -> list[bytes]:
        """See CountCache."""
        tokens = {}
        for group in _by_tag(ids):
            head = (COUNTS_KEPT_MS, os.urandom(8), len(family.value))
            packed: bytes = await self._call("reserve", [self._count_key(family, one) for one in group], head)
            tokens.update({one: packed[8 * n : 8 * n + 8] for n, one in enumerate(group)})
        return [tokens[one] for one in ids]

    async def fill(self, family: Family, counts: Mapping[bytes, tuple[bytes, Slots]]) -> None:
        """See CountCache."""
        pack = _PACKED[family].pack
        for group in _by_tag(list(counts)):
            for some in _chunks(group):
                values = [token + pack(*slots) for token, slots in map(counts.__getitem__, some)]
                await self._call("fill", [self._count_key(family, one) for one in some], [COUNTS_KEPT_MS, *values])

    async def set_mark(self, user_id: bytes, kind: MarkKind, tweet_id: bytes, mark: Mark) -> None:
        """See CountCache."""
        stated = Stated(mark.present, mark.at)
        both = Both(like=stated) if kind is MarkKind.LIKE else Both(bookmark=stated)
        args: list[Word] = [MARKS_KEPT_MS, tweet_id, _state(both), self._marks_most, self._marks_kept]
        if kind is MarkKind.LIKE and mark.delta:
            args += [mark.author_id, mark.delta, mark.marked_ms, AUTHORS_KEPT]
        keys = [self._key("marks", user_id), self._key("interactions", user_id)]
        try:
            await self._call("set_mark", keys, args)
        except (Unavailable, ResponseError) as error:
            MISSED.inc()
            log.warning("mark_missed", error=str(error))
            self._owe(user_id)

    async def begin_marks(self, user_id: bytes, token: bytes) -> None:
        """See CountCache."""
        await self._call("begin_marks", [self._key("marks", user_id)], [MARKS_KEPT_MS, token])

    async def fill_marks(self, user_id: bytes, token: bytes, states: Mapping[bytes, Both], floor: bytes) -> bool:
        """See CountCache."""
        pairs: list[Word] = [word for tweet_id, both in states.items() for word in (tweet_id, _state(both))]
        head = (MARKS_KEPT_MS, token, _whole_ms(floor))
        return bool(await self._call("fill_marks", [self._key("marks", user_id)], [*head, *pairs]))

    async def interactions(self, user_id: bytes) -> Interactions | None:
        """See CountCache."""
        known = await self._line.execute_command("GET", self._key("interactions", user_id))
        if known is None or len(known) == _BASE.size + 1:
            return None
        weights = dict(_WEIGHT.iter_unpack(known[_BASE.size :]))
        return Interactions(int(_BASE.unpack_from(known)[0]), weights)

    async def begin_interactions(self, user_id: bytes, token: bytes) -> None:
        """See CountCache."""
        await self._line.execute_command("SET", self._key("interactions", user_id), _reading(token), "PX", _BUILD_MS)

    async def fill_interactions(self, user_id: bytes, token: bytes, known: Interactions) -> None:
        """See CountCache."""
        heaviest = sorted(known.weights.items(), key=lambda one: -one[1])[:AUTHORS_KEPT]
        packed = _BASE.pack(known.base_ms) + b"".join([_WEIGHT.pack(*one) for one in heaviest])
        keys = [self._key("interactions", user_id)]
        await self._call("fill_interactions", keys, [MARKS_KEPT_MS, _reading(token), packed])

    def _owe(self, user_id: bytes) -> None:
        if len(self._owed) >= _OWED_MOST:
            log.error("marks_owed_forgotten", most=_OWED_MOST)
            return
        self._owed.add(user_id)
        if self._paying is None:
            self._paying = asyncio.get_running_loop().create_task(self._pay())

    async def _pay(self) -> None:
        """Forget the marks of those whose newest could not be remembered, as soon as Redis answers."""
        while self._owed:
            # Taken out first: who is owed again meanwhile is paid again.
            some = [self._owed.pop() for _ in range(min(len(self._owed), _KEYS_A_CALL))]
            keys = [self._key(what, user_id) for user_id in some for what in ("marks", "interactions")]
            try:
                # One command each: the keys of a command must have one tag in a cluster.
                _answers(await self._line.ask(*(("UNLINK", key) for key in keys)))
            except Unavailable:
                self._owed.update(some)
                await asyncio.sleep(_OWED_EVERY_S)
        self._paying = None

    async def _call(self, function: str, keys: Sequence[bytes | str], args: Sequence[Word]) -> Any:
        return await self._functions.call(self._function_prefix + function, keys, args)

    def _keys_by_tag(self, family: Family, ids: Sequence[bytes]) -> Iterable[list[bytes]]:
        for group in _by_tag(ids):
            prefix = self._counts[family, tag(group[0])]
            yield [prefix + one for one in group]

    def _in_order(self, ids: Sequence[bytes], replies: Sequence[list[bytes | None]]) -> Sequence[bytes | None]:
        if len(replies) == 1:
            return replies[0]
        found: dict[bytes, bytes | None] = {}
        for group, values in zip(_by_tag(ids), replies, strict=True):
            found.update(zip(group, values, strict=True))
        return [found[one] for one in ids]

    def _count_key(self, family: Family, subject_id: bytes) -> bytes:
        return self._counts[family, tag(subject_id)] + subject_id

    def _key(self, what: str, user_id: bytes) -> str:
        return self._users[what, tag(user_id)] + user_id.hex()


def _by_tag(ids: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    """Ids whose keys one command may name together."""
    if HASH_TAGS == 1:
        return [ids] if ids else []
    groups: dict[str, list[bytes]] = defaultdict(list)
    for one in ids:
        groups[tag(one)].append(one)
    return groups.values()


def _chunks(group: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (group[first : first + _KEYS_A_CALL] for first in range(0, len(group), _KEYS_A_CALL))


def _answers(replies: Replies) -> Replies:
    """The replies when none is an error: then what they would have told is not known. Raises Unavailable."""
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise Unavailable(f"Redis did not answer ({reply})", retry_after_s=1)
    return replies


def _counts(family: Family, values: Sequence[bytes | None]) -> Sequence[Slots | None]:
    value = _VALUE[family]
    try:
        # The usual page, every count of which is remembered.
        return list(value.iter_unpack(b"".join(values)))  # type: ignore[arg-type]
    except TypeError:
        return [None if one is None else value.unpack(one) for one in values]


def _lately(family: Family, ids: Sequence[bytes], raw: Sequence[bytes]) -> OwnRecent:
    if raw and family is Family.TWEET:
        # Each write that concerns tweets begins with one: of up to 256 few are about these, and decoding all takes 0.3 ms.
        asked = set(ids)
        raw = [entry for entry in raw if entry[1:17] in asked or entry[:1] == GRAPH_VERSION]
    return own_recent(RecentWrites.parse(raw)) if raw else NOTHING_RECENT


def _marks(ids: Sequence[bytes], values: Sequence[bytes | None]) -> Marks:
    states = {}
    for number, value in enumerate(values[1:]):
        if value is not None:
            like, liked_at, bookmark, bookmarked_at = _STATE.unpack(value)
            states[ids[number]] = Both(Stated(like, liked_at), Stated(bookmark, bookmarked_at))
    return Marks(values[0], states)


def _state(both: Both) -> bytes:
    return _STATE.pack(*both.like, *both.bookmark)


def _whole_ms(floor: bytes) -> bytes:
    """The floor, or the beginning of the next millisecond: functions.lua compares milliseconds."""
    if not any(floor[6:]):
        return floor
    return (ms_of(floor) + 1).to_bytes(6) + bytes(10)


def _reading(token: bytes) -> bytes:
    return b"B" + token[:8]
