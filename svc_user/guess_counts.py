"""How many tries were made lately under a key: in Redis for all processes, in memory without it. What is limited is in guesses.py."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from redis_client import Commands, Functions
from runtime.errors import Unavailable
from runtime.telemetry import logger

T = TypeVar("T")

REDIS_SILENCE_S = 0.5
"""So long a try waits to be counted for all processes."""

_REMEMBERED = 100_000
_AWAY_SHARE = 2

_LIBRARY = """#!lua name=aviary_guesses_1
-- A level that leaks: `most` tries fill it, and it runs empty within `window` ms.
local function level(key, most, window, now)
  local kept = redis.call('HMGET', key, 'level', 'at')
  local at = tonumber(kept[2]) or now
  return math.max(0, (tonumber(kept[1]) or 0) - math.max(0, now - at) * most / window), math.max(now, at)
end

local function keep(key, window, filled, at)
  redis.call('HSET', key, 'level', string.format('%.9f', filled), 'at', at)
  redis.call('PEXPIRE', key, window)
end

redis.register_function('guesses_take', function(keys, args)
  local most, window, now = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local filled, at = level(keys[1], most, window, now)
  if filled + 1 > most + 1e-6 then
    return math.max(1, math.floor((filled + 1 - most) * window / most + 0.5))
  end
  keep(keys[1], window, filled + 1, at)
  return 0
end)

redis.register_function('guesses_give_back', function(keys, args)
  local most, window, now = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  local filled, at = level(keys[1], most, window, now)
  keep(keys[1], window, math.max(0, filled - 1), at)
  return 0
end)
"""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    """So many tries at once, and after that as many again, evenly, within the window."""

    most: int
    window_ms: int


class Counts(Protocol):
    """Counts tries."""

    async def take(self, key: str, limit: Limit, now_ms: int) -> int:
        """Count a try, and answer 0; or, when there is no room for one, count nothing and answer in how many ms there is."""

    async def give_back(self, key: str, limit: Limit, now_ms: int) -> None:
        """Count a try less."""


class LocalCounts:
    """Counts of this process alone; of many keys the ones that were used last are kept."""

    def __init__(self) -> None:
        self._levels: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def take(self, key: str, limit: Limit, now_ms: int) -> int:
        """See Counts."""
        filled, at = self._level(key, limit, now_ms)
        if filled + 1 > limit.most + 1e-6:
            return max(1, round((filled + 1 - limit.most) * limit.window_ms / limit.most))
        self._keep(key, filled + 1, at)
        return 0

    async def give_back(self, key: str, limit: Limit, now_ms: int) -> None:
        """See Counts."""
        filled, at = self._level(key, limit, now_ms)
        self._keep(key, max(0.0, filled - 1), at)

    def _level(self, key: str, limit: Limit, now_ms: int) -> tuple[float, int]:
        filled, at = self._levels.get(key, (0.0, now_ms))
        return max(0.0, filled - max(0, now_ms - at) * limit.most / limit.window_ms), max(now_ms, at)

    def _keep(self, key: str, filled: float, at: int) -> None:
        self._levels[key] = (filled, at)
        self._levels.move_to_end(key)
        if len(self._levels) > _REMEMBERED:
            self._levels.popitem(last=False)


class RedisCounts:
    """Counts of all processes; while Redis is away each process counts for itself, and allows half as many."""

    def __init__(self, redis: Commands, namespace: str) -> None:
        """`redis`: bounds how long it is waited for, and raises Unavailable."""
        self._functions = Functions(redis, _LIBRARY)
        self._namespace = namespace
        self._local = LocalCounts()

    async def take(self, key: str, limit: Limit, now_ms: int) -> int:
        """See Counts."""
        here = Limit(max(1, limit.most // _AWAY_SHARE), limit.window_ms)
        return int(await self._either("guesses_take", key, limit, now_ms, lambda: self._local.take(key, here, now_ms)))

    async def give_back(self, key: str, limit: Limit, now_ms: int) -> None:
        """See Counts."""
        here = Limit(max(1, limit.most // _AWAY_SHARE), limit.window_ms)
        await self._either("guesses_give_back", key, limit, now_ms, lambda: self._local.give_back(key, here, now_ms))

    async def _either(self, function: str, key: str, limit: Limit, now_ms: int, local: Callable[[], Awaitable[T]]) -> T:
        namespace = self._namespace
        try:
            answer: T = await self._functions.call(
                function, [f"{namespace}:guesses:{key}"], [limit.most, limit.window_ms, now_ms]
            )
        except Unavailable as error:
            log.warning("guesses_counted_here", error=error.detail)
            return await local()
        return answer
