"""What is not read to count a change, because this process knows it; and when that is not believed."""

import asyncio
from collections import Counter
from typing import Any, cast

import pytest

from ordered import Item
from runtime.errors import Unavailable
from svc_engage.counting.changes import LOGS
from svc_engage.counting.known import KnownRows
from svc_engage.counting.memory import Memory
from svc_engage.domain.marks import LikeState, Mark
from svc_engage.domain.relations import Kind, Row, Subject
from svc_engage.likes import set_like
from tests.unit.svc_engage.counting_world import PARTITION, TWEETS, USERS, Owner, World, counted, follow, like, run
from tests.unit.svc_engage.test_rounds import TWEET, liking

LIKES, FOLLOWS, _ = LOGS
LIKED = Subject(TWEETS[0], Kind.LIKES)
COUNTED = Row(True, 5, 5, True, 5, 5)


class Asked(World):
    """Notes which members' rows are read, and how often lists are written."""

    def __init__(self, log: Any) -> None:
        super().__init__(log)
        self.read = Counter[bytes]()
        self.listed = 0
        store, rows, lists = cast(Any, self.store), self.store.rows, self.store.list_likes

        async def noted(wanted: Any, levels: Any) -> Any:
            for members in wanted.values():
                self.read.update(members)
            return await rows(wanted, levels)

        async def noted_lists(likes: Any) -> None:
            self.listed += len(likes)
            await lists(likes)

        store.rows, store.list_likes = noted, noted_lists

    async def requested(self, item: Item, known: KnownRows | None = None) -> None:
        """What requests list is not noted."""
        listed = self.listed
        await super().requested(item, known)
        self.listed = listed

    async def all_is_right(self) -> None:
        """What the test itself reads is not noted."""
        read = self.read.copy()
        await super().all_is_right()
        self.read = read


def test_of_likes_that_requests_of_this_process_wrote_no_row_is_read() -> None:
    """The first of a tweet: nothing was counted of it. Later ones of the same people: they were counted here."""

    async def main() -> None:
        world = Asked(LIKES)
        owner = Owner(world, gated=False)
        for liked in (True, False, True):
            world.publish(*(like(user, liked=liked) for user in range(4)))
            for item in world.items[-4:]:
                await world.requested(item, owner.rounds.known)
            await counted(world, owner)
            await world.all_is_right()
        assert not world.listed
        assert not world.read

    run(main())


def test_a_like_whose_request_is_not_known_to_have_written_its_rows_is_looked_at() -> None:
    """Another process may have written them, or nobody: then the owner does."""

    async def main() -> None:
        world = Asked(LIKES)
        owner = Owner(world, gated=False)
        for liked in (True, False):
            world.publish(*(like(user, liked=liked) for user in (1, 2, 3)))
            here, elsewhere, _nobody = world.items[-3:]
            for item in world.items[-3:]:
                # The tweet was not split yet, as those who liked it saw it.
                item.event.level = 0
            await world.requested(here, owner.rounds.known)
            await world.requested(elsewhere)
            await counted(world, owner)
            await world.all_is_right()
        assert world.read == Counter({USERS[2]: 2, USERS[3]: 2})
        assert world.listed == 2

    run(main())


def test_what_was_written_for_an_earlier_state_says_nothing_of_a_later_one() -> None:
    async def main() -> None:
        world = Asked(LIKES)
        owner = Owner(world, gated=False)
        world.publish(like(1), like(1, liked=False))
        await world.requested(world.items[0], owner.rounds.known)
        await counted(world, owner)
        await world.all_is_right()
        assert world.listed == 1

    run(main())


def test_who_is_counted_elsewhere_meanwhile_is_read_when_the_partition_comes_back() -> None:
    async def main() -> None:
        world = Asked(FOLLOWS)
        first, second = Owner(world, gated=False), Owner(world, gated=False)
        world.publish(follow(1, 2, 1))
        await counted(world, first)
        assert not world.read
        world.publish(follow(1, 2, 2, following=False))
        await counted(world, second)
        world.publish(follow(1, 2, 3))
        first.lose()
        await counted(world, first)
        await world.all_is_right()
        assert world.read[USERS[2]] == 2

    run(main())


def test_an_owner_that_was_overtaken_counts_on_from_what_it_knows_and_is_right() -> None:
    async def main() -> None:
        world = World(FOLLOWS)
        slow, quick = Owner(world, gated=False), Owner(world, gated=False)
        world.publish(follow(1, 2, 1), follow(1, 3, 1))
        await counted(world, slow)
        world.publish(follow(1, 2, 2, following=False), follow(1, 3, 2, following=False), follow(1, 2, 3))
        await counted(world, quick)
        for _ in range(3):
            await slow.take(1)
            await slow.rounds.drain()
            await world.check()
        await world.all_is_right()

    run(main())


def test_a_subject_that_was_set_right_is_read_again() -> None:
    async def main() -> None:
        world = Asked(FOLLOWS)
        owner = Owner(world, gated=False)
        world.publish(follow(1, 2, 1))
        await counted(world, owner)
        memory = owner.machine.memory(PARTITION)
        assert memory is not None
        memory.forget(Subject(USERS[1], Kind.FOLLOWING))
        world.publish(follow(1, 2, 2, following=False))
        await counted(world, owner)
        await world.all_is_right()
        assert world.read == Counter([USERS[2]])

    run(main())


def test_a_batch_that_was_not_stored_leaves_what_is_known_as_it_was() -> None:
    """Its counts may be stored, and its rows not."""

    async def main() -> None:
        world = World(FOLLOWS)
        owner = Owner(world, gated=True)
        owner.taking.append(asyncio.create_task(owner.take()))
        world.publish(follow(1, 2, 1))
        for step in ("pass", "pass", "pass", "ghost"):
            await asyncio.sleep(2.1)
            assert owner.gate.let(0, step)
        world.publish(follow(1, 2, 2, following=False))
        await counted(world, owner)
        await world.all_is_right()

    run(main())


def test_a_row_that_was_stored_by_a_batch_that_failed_is_known_when_it_is_counted() -> None:
    """The first like of a tweet: nobody has a row. Its own is stored, nobody knows it, and the next try finds that it is counted."""

    async def main() -> None:
        world = World(LIKES)
        world.publish(like(1))
        await world.requested(world.items[0])
        owner = Owner(world, gated=True)
        owner.taking.append(asyncio.create_task(owner.take()))
        name = ""
        while name != "put_counted":
            await asyncio.sleep(2.1)
            name, _ = owner.gate.waiting[0]
            owner.gate.let(0, "ghost" if name == "put_counted" else "pass")
        await counted(world, owner)
        world.publish(like(1, liked=False))
        await world.requested(world.items[1], owner.rounds.known)
        await counted(world, owner)
        await world.all_is_right()

    run(main())


def test_of_too_many_rows_those_of_subjects_that_were_not_counted_for_longest_are_forgotten() -> None:
    known, owner = KnownRows(rows_kept=4), object()
    subjects = [Subject(tweet, Kind.LIKES) for tweet in TWEETS]
    for subject in subjects[:2]:
        known.begin(owner, subject)
        known.keep(owner, {subject: dict.fromkeys(USERS[:2], COUNTED)})
    known.keep(owner, {subjects[0]: {USERS[0]: COUNTED}, subjects[2]: {USERS[0]: COUNTED}})
    assert [known.row(owner, subject, USERS[0]) for subject in subjects] == [COUNTED, None, COUNTED]
    # Of a subject that was forgotten nobody is known not to be counted.
    known.keep(owner, {subjects[1]: {USERS[0]: COUNTED}})
    assert known.row(owner, subjects[1], USERS[1]) is None
    # One with more rows than are kept is not kept at all.
    known.keep(owner, {subjects[0]: dict.fromkeys(USERS, COUNTED)})
    assert known.row(owner, subjects[0], USERS[0]) is None


def test_of_too_many_writes_the_oldest_are_forgotten_and_of_one_pair_the_latest_stays() -> None:
    known, owner = KnownRows(writes_kept=2), object()
    known.begin(owner, LIKED)
    for user, at in ((0, 9), (1, 9), (0, 3), (2, 9)):
        state = LikeState(TWEETS[0], USERS[4], USERS[user], True, at, 0, 0)
        known.wrote(state, state.mark(Mark(), 1))
    assert [row and row.at for row in (known.row(owner, LIKED, user, 9) for user in USERS[:3])] == [9, None, 9]


@pytest.mark.parametrize("breaks", [True, False])
def test_a_request_says_that_it_wrote_rows_when_the_store_has_acknowledged_them(breaks: bool) -> None:
    async def main() -> None:
        deps, _ = liking()
        memory = Memory(LIKES, 0, 0, lambda _: None, deps.known)
        subject = Subject(TWEET, Kind.LIKES)
        memory.begin(subject)

        async def broken(*_: Any) -> None:
            raise Unavailable("nobody knows whether it was stored")

        if breaks:
            deps.store.state_likes = broken
        await set_like(TWEET, USERS[0], True, deps)
        assert memory.row(subject, USERS[0], 2) is None, "they are on their way"
        await deps.rows.close()
        row = memory.row(subject, USERS[0], 2)
        assert row == (None if breaks else Row(present=True, at=2, since=2))

    run(main())


def test_a_request_that_found_a_later_state_and_wrote_nothing_does_not_say_that_it_did() -> None:
    async def main() -> None:
        deps, _ = liking()
        memory = Memory(LIKES, 0, 0, lambda _: None, deps.known)
        memory.begin(Subject(TWEET, Kind.LIKES))

        async def later(*_: Any) -> Mark:
            return Mark(present=False, at=3)

        deps.store.mark = later
        await set_like(TWEET, USERS[0], True, deps)
        await deps.rows.close()
        assert memory.row(Subject(TWEET, Kind.LIKES), USERS[0], 2) is None

    run(main())


def test_of_a_mark_is_known_what_was_written_last_under_its_place_alone_and_of_many_the_latest() -> None:
    known = KnownRows(writes_kept=1)
    first = LikeState(TWEETS[0], b"", USERS[0], True, 5, 0, 0)
    mark = Mark(True, 5, 1, b"", 0, 0, 5)
    known.wrote(first, mark)
    pair = TWEETS[0], USERS[0]
    assert [known.mark(*pair, at) for at in (0, 4, 5, 6)] == [Mark(), None, mark, None]
    known.wrote(first, Mark(False, 4, -1, b"", 0, 0, 4))
    assert known.mark(*pair, 5) is mark, "what is older says nothing"
    known.wrote(LikeState(TWEETS[1], b"", USERS[0], True, 7, 0, 0), Mark(True, 7))
    assert known.mark(*pair, 5) is None
