"""Lists of things: skeleton, hydrate, rules, present, and refill until the page is full or the end is true. Knows no particular list."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from views.items import NO_PAGE, Item, Page, Query, Scan, State
from views.rules import Rule, visible

ROUNDS = 5
REFILL = 50
SCAN_MAX = 400

Skeleton = Callable[[Query], Awaitable[Scan]]
Hydrate = Callable[[Query, Scan], Awaitable[State]]
Present = Callable[[list[Item], State], list[bytes]]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One kind of list. A new list is a new skeleton.

    The page is full, or the end is true, or `rounds` stretches of the skeleton were read: then the page may be short or
    even empty, says that more follows and where to go on, so that nobody takes it for the end. A list of somebody from whom a block parts
    the viewer is empty.
    """

    skeleton: Skeleton
    hydrate: Hydrate
    rules: Sequence[Rule]
    present: Present
    rounds: int = ROUNDS
    refill: int = REFILL

    async def run(self, query: Query) -> Page:
        """One page. Pages of any size put together give the same whole."""
        frames: list[bytes] = []
        away = False
        rest = query
        for _ in range(self.rounds):
            scan = await self.skeleton(rest)
            if not scan.items:
                return Page(frames, b"", False, "", away)
            state = await self.hydrate(rest, scan)
            if query.subject in state.sight.apart:
                # Who asked for the list of somebody, and blocked them elsewhere a moment ago, of which the counts tell.
                return NO_PAGE
            away = away or state.away
            kept = visible(scan.items, state, self.rules)
            room = query.limit - len(frames)
            frames += self.present(kept[:room], state)
            if len(kept) > room:
                return Page(frames, kept[room - 1].tweet_id, True, kept[room - 1].cursor, away)
            if not scan.has_more:
                return Page(frames, b"", False, "", away)
            last = scan.items[-1]
            if len(kept) == room:
                return Page(frames, last.tweet_id, True, last.cursor, away)
            wanted = min(max(query.limit - len(frames), self.refill), SCAN_MAX)
            rest = replace(query, max_id=last.tweet_id, cursor=last.cursor, limit=wanted)
        return Page(frames, rest.max_id, True, rest.cursor, away)
