"""What lists of likes hold after races and deaths: whoever writes, in whatever order, a pair is there once or not at all."""

import contextlib
import random
import uuid
from collections.abc import Sequence
from typing import cast

import pytest

from cql_client import Cql, Statement
from svc_engage.domain.marks import UNMARKED, LikeSetting, LikeState, Mark, MarkKind
from svc_engage.domain.relations import Count, Kind, Row, Subject
from svc_engage.store import EngageStore
from svc_engage.store_cql import CqlEngageStore
from svc_engage.store_memory import MemoryEngageStore
from tests.conformance.test_engage_store import CLOCK, edge, like, liked, likers, some
from tests.storing import store_like


@pytest.fixture(params=["memory", "cql"])
def store(request: pytest.FixtureRequest) -> EngageStore:
    if request.param == "memory":
        return MemoryEngageStore()
    return CqlEngageStore(request.getfixturevalue("engage_cql"), CLOCK)


# Places at which one pair is liked or not, in the order of the log.
RACES = [(1, 0, 1), (1, 1, 0), (1, 1, 1), (1, 0, 0), (0, 1, 1), (1, 0, 1, 1), (1, 0, 1, 0)]


@pytest.mark.parametrize("said", RACES, ids=str)
async def test_whoever_writes_in_whatever_order_having_read_whatever_a_pair_is_in_both_lists_once_or_not_at_all(
    store: EngageStore, said: tuple[int, ...]
) -> None:
    """P50, P54: requests in a race, and the owner that writes a state once more for a request that it believes dead."""
    dice = random.Random(str(said))
    for _ in range(12):
        tweet, user = some(2)
        states = [like(tweet, user, at, liked=bool(present)) for at, present in enumerate(said, start=1)]
        # Each state is written twice, each time behind any earlier state as whoever wrote that may have left it.
        left: dict[int, list[Mark]] = {0: [UNMARKED]}
        writes: list[tuple[LikeState, Mark]] = []
        for state in [one for one in states for _ in range(2)]:
            before = dice.choice(left[dice.randrange(state.at)])
            writes.append((state, before))
            left.setdefault(state.at, []).append(state.mark(before, 0))
        dice.shuffle(writes)
        for state, before in writes:
            await store_like(store, state, before, 0)
            if dice.random() < 0.3:
                # Who reads meanwhile clears what is of no use.
                await liked(store, user)
                await likers(store, tweet)
        for _ in range(2):
            assert await liked(store, user) == [tweet] * said[-1]
            assert await likers(store, tweet) == [user] * said[-1]
        mark = await store.mark(user, MarkKind.LIKE, tweet)
        assert (mark.present, mark.at) == (bool(said[-1]), len(said))
        assert mark.since == max(mark.since for mark in left[len(said)])


class Died(Exception):
    """This process is no more."""


class Dying:
    """The connection of a process that dies when it has made some of its writes."""

    def __init__(self, cql: Cql, writes: int) -> None:
        self._cql = cql
        self._left = writes

    def prepare(self, query: str) -> Statement:
        return self._cql.prepare(query)

    async def write_rows(self, statement: Statement, rows: Sequence[Sequence[object]]) -> None:
        self._live()
        await self._cql.write_rows(statement, rows)

    async def write_all(self, writes: Sequence[tuple[Statement, Sequence[object]]]) -> None:
        self._live()
        await self._cql.write_all(writes)

    async def execute(self, statement: Statement, values: Sequence[object]) -> object:
        self._live()
        return await self._cql.execute(statement, values)

    def _live(self) -> None:
        if self._left == 0:
            raise Died
        self._left -= 1


async def write(cql: object, again: LikeState, before: Mark) -> None:
    with contextlib.suppress(Died):
        await store_like(CqlEngageStore(cast(Cql, cql), CLOCK), again, before, 0)


@pytest.mark.parametrize("writes", range(3))
async def test_of_two_who_write_one_like_behind_different_states_one_may_die_at_any_write(
    engage_cql: Cql, writes: int
) -> None:
    """P54: a request that read the like from before its end, and the owner that saw the end: there is one entry in each list."""
    store = CqlEngageStore(engage_cql, CLOCK)
    for late in (True, False):
        for dies_first in (True, False):
            tweet, user = some(2)
            begun, ended, again = like(tweet, user, 1), like(tweet, user, 2, liked=False), like(tweet, user, 3)
            seen = [begun.mark(UNMARKED, 1), ended.mark(begun.mark(UNMARKED, 1), -1)]
            await store_like(store, begun, UNMARKED, 1)
            await store_like(store, ended, seen[0], -1)
            dies, lives = (Dying(engage_cql, writes), seen[late]), (engage_cql, seen[not late])
            for cql, before in (dies, lives) if dies_first else (lives, dies):
                await write(cql, again, before)
            for _ in range(2):
                assert (await liked(store, user), await likers(store, tweet)) == ([tweet], [user])


async def test_who_dies_while_a_count_is_stored_has_stored_its_level_or_no_count(engage_cql: Cql) -> None:
    """A count that is stored is not stored again: without its level nobody would look where its rows are."""
    for writes in range(3):
        subject = Subject(uuid.uuid4().bytes, Kind.LIKES)
        dying = CqlEngageStore(cast(Cql, Dying(engage_cql, writes)), CLOCK)
        with contextlib.suppress(Died):
            await dying.put_counts({subject: Count(50_000, 7, 1)})
        stored = (await CqlEngageStore(engage_cql, CLOCK).counts([subject])).get(subject, Count())
        assert stored.count == 0 or stored.level == 1


async def test_the_row_of_a_like_is_there_behind_everything_else_alone(store: EngageStore) -> None:
    """Who sees its place there finds mark and lists; whoever died before left a like that its owner writes once more."""
    tweet, user = some(2)
    setting = LikeSetting(like(tweet, user, 3), UNMARKED, 1)
    await store.list_likes([setting])
    assert (await store.mark(user, MarkKind.LIKE, tweet)).at == 3
    assert (await liked(store, user), await likers(store, tweet)) == ([tweet], [])
    assert await edge(store, tweet, user) is None
    await store.state_likes([setting])
    assert await likers(store, tweet) == [user]
    assert await edge(store, tweet, user) == Row(present=True, at=3, since=3)
    ended = LikeSetting(like(tweet, user, 2, liked=False), UNMARKED, 0)
    late = LikeSetting(ended.like, (await store.mark(user, MarkKind.LIKE, tweet)), 0)
    for older in (ended, late):
        await store.list_likes([older])
        await store.state_likes([older])
        assert (await liked(store, user), await likers(store, tweet)) == ([tweet], [user])
        assert await edge(store, tweet, user) == Row(present=True, at=3, since=3)
