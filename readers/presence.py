"""Which users are connected to which edge processes, kept in Redis and lost harmlessly; what is sent to them is the services' matter."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol, cast

from redis_client import HASH_TAGS, Functions, Redis, tag
from runtime.ids import Clock, split_ids

USER_TTL_S = 600
"""How long a user counts as connected without a refresh; an edge refreshes at half of it."""

EDGE_TTL_S = 5
"""How long an edge counts as alive without a beat; an edge beats every second or two."""

_ALIVE_CACHED_MS = 1_000

# A user's edges are one string of 16-byte ids, so that one MGET tells those of a thousand users. Expired with its user's last
# refresh; an edge that died stays in it until then and is not alive meanwhile.
_LIBRARY = """#!lua name=aviary_presence_1

local function without(edges, edge)
  local kept = {}
  for first = 1, #edges, 16 do
    local other = string.sub(edges, first, first + 15)
    if other ~= edge then
      kept[#kept + 1] = other
    end
  end
  return table.concat(kept)
end

-- KEYS: presence of a user. ARGV: edge, seconds.
local function arrive(keys, args)
  local edges = redis.call('GET', keys[1]) or ''
  redis.call('SET', keys[1], without(edges, args[1]) .. args[1], 'EX', args[2])
end

-- KEYS: presence of a user. ARGV: edge.
local function leave(keys, args)
  local edges = without(redis.call('GET', keys[1]) or '', args[1])
  if edges == '' then
    redis.call('DEL', keys[1])
  else
    redis.call('SET', keys[1], edges, 'KEEPTTL')
  end
end

redis.register_function('aviary_presence_1_arrive', arrive)
redis.register_function('aviary_presence_1_leave', leave)
"""


class Readers(Protocol):
    """Tells where connected users are."""

    async def edges_of(self, user_ids: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        """Living edges, and which of these users are connected to each; a user may be at several. Raises Unavailable."""


class Attendees(Protocol):
    """The part that an edge writes. Every function raises Unavailable while it cannot."""

    async def arrive(self, user_id: bytes, edge_id: bytes) -> None:
        """The user is connected to the edge."""

    async def leave(self, user_id: bytes, edge_id: bytes) -> None:
        """The user is not connected to the edge any more."""

    async def beat(self, edge_id: bytes) -> bool:
        """The edge lives. False when it was not known to live."""


class Presence:
    """The book of who is connected where. Every function raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, namespace: str, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._functions = Functions(redis, _LIBRARY)
        self._prefixes = {f"{{t{n}}}": f"{namespace}:{{t{n}}}:presence:".encode() for n in range(HASH_TAGS)}
        # One tag for all edges, so that one MGET asks for several.
        self._edge_prefix = f"{namespace}:{{edges}}:edge:".encode()
        self._alive_ms: dict[bytes, int] = {}

    async def arrive(self, user_id: bytes, edge_id: bytes) -> None:
        """A user's first connection to an edge was opened, or still is. The edge counts them; this only knows that there are some."""
        await self._functions.call("aviary_presence_1_arrive", [self._key(user_id)], [edge_id, USER_TTL_S])

    async def leave(self, user_id: bytes, edge_id: bytes) -> None:
        """A user's last connection to an edge was closed."""
        await self._functions.call("aviary_presence_1_leave", [self._key(user_id)], [edge_id])

    async def beat(self, edge_id: bytes) -> bool:
        """The edge lives, for the next 5 seconds. False when it was not known to live: then it makes all its users arrive again.

        That is so at its first beat, after a late one, and after Redis was emptied.
        """
        return await self._redis.set(self._edge_prefix + edge_id, b"1", ex=EDGE_TTL_S, get=True) is not None

    async def edges_of(self, user_ids: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        """See Readers. One round trip for each hash tag, and one more when edges were not looked at within the last second."""
        where: dict[bytes, list[bytes]] = defaultdict(list)
        for hash_tag, users in self._by_tag(user_ids).items():
            prefix = self._prefixes[hash_tag]
            found = cast(list[bytes | None], await self._redis.mget([prefix + user_id for user_id in users]))
            for user_id, edges in zip(users, found, strict=True):
                for edge_id in split_ids(edges or b""):
                    where[edge_id].append(user_id)
        alive = await self._living(list(where))
        return {edge_id: users for edge_id, users in where.items() if edge_id in alive}

    async def _living(self, edge_ids: Sequence[bytes]) -> set[bytes]:
        now = self._clock.now_ms()
        # Only life is remembered: an edge that begins to beat is there at once.
        self._alive_ms = {edge: seen for edge, seen in self._alive_ms.items() if now - seen < _ALIVE_CACHED_MS}
        unknown = [edge for edge in edge_ids if edge not in self._alive_ms]
        if unknown:
            beats = cast(list[bytes | None], await self._redis.mget([self._edge_prefix + edge for edge in unknown]))
            self._alive_ms.update({edge: now for edge, beat in zip(unknown, beats, strict=True) if beat is not None})
        return {edge for edge in edge_ids if edge in self._alive_ms}

    def _by_tag(self, user_ids: Sequence[bytes]) -> dict[str, list[bytes]]:
        groups: dict[str, list[bytes]] = defaultdict(list)
        for user_id in user_ids:
            groups[tag(user_id)].append(user_id)
        return groups

    def _key(self, user_id: bytes) -> bytes:
        return self._prefixes[tag(user_id)] + user_id
