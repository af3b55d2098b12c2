"""The audit of follows names every entry that is missing, of no follow, or doubled, and nothing that is right or was on its way."""

from collections.abc import Sequence

import pytest

from ops.audit import graph
from ops.audit.graph import FOLLOWERS, FOLLOWING, PAGES, GraphProblem, audit_graph

ALICE, BOB, CAROL, NOBODY = (bytes([number]) * 16 for number in range(1, 5))
FOLLOWS = {ALICE: [BOB, CAROL], BOB: [ALICE], CAROL: []}


class Written:
    """Follows and lists as a test writes them; `later` are lists of the second look on."""

    def __init__(self) -> None:
        self.lists = {(FOLLOWING, user): list(followees) for user, followees in FOLLOWS.items()}
        for where in (FOLLOWERS, PAGES):
            for user in FOLLOWS:
                self.lists[where, user] = [follower for follower in FOLLOWS if user in FOLLOWS[follower]]
        self.later: dict[tuple[str, bytes], list[bytes]] = {}
        self.looks = 0

    async def settled(self, within_s: float) -> int:
        self.looks += 1
        return 0

    async def users(self) -> dict[bytes, str]:
        return {ALICE: "alice", BOB: "bob", CAROL: "carol"}

    async def snapshot(self, user: bytes) -> Sequence[bytes]:
        return FOLLOWS[user]

    async def following_list(self, user: bytes) -> Sequence[bytes]:
        return self._read(FOLLOWING, user)

    async def followers_list(self, user: bytes) -> Sequence[bytes]:
        return self._read(FOLLOWERS, user)

    async def follower_pages(self, user: bytes) -> Sequence[bytes]:
        return self._read(PAGES, user)

    def _read(self, where: str, user: bytes) -> Sequence[bytes]:
        lists = self.lists | self.later if self.looks > 1 else self.lists
        return lists[where, user]


async def test_lists_that_hold_the_follows_are_clean_with_strangers_among_the_followers() -> None:
    """A follower who is no account any more has no follows that could be asked for."""
    written = Written()
    written.lists[FOLLOWERS, BOB].append(NOBODY)
    written.lists[PAGES, BOB] += [NOBODY, ALICE]
    report = await audit_graph(written, 100)
    assert report.clean
    assert (report.people, report.follows) == (3, 3)
    assert graph.as_text(report).endswith("clean")


@pytest.mark.parametrize("where", [FOLLOWING, FOLLOWERS, PAGES])
async def test_an_entry_that_is_missing_or_of_no_follow_is_named(where: str) -> None:
    """P50."""
    written = Written()
    owner, member = (ALICE, BOB) if where == FOLLOWING else (BOB, ALICE)
    written.lists[where, owner].remove(member)
    written.lists[where, CAROL].append(BOB)
    found = set((await audit_graph(written, 100)).problems)
    assert found == {GraphProblem("missing", where, owner, member), GraphProblem("extra", where, CAROL, BOB)}


@pytest.mark.parametrize("where", [FOLLOWING, FOLLOWERS])
async def test_an_entry_that_is_listed_twice_is_named(where: str) -> None:
    written = Written()
    member = written.lists[where, ALICE][0]
    written.lists[where, ALICE].append(member)
    report = await audit_graph(written, 100)
    assert report.problems == [GraphProblem("doubled", where, ALICE, member)]
    assert "doubled: bob" in graph.as_text(report)
    assert graph.as_json(report)["clean"] is False


async def test_what_is_right_at_a_later_look_was_on_its_way() -> None:
    written = Written()
    written.later[PAGES, BOB] = [ALICE]
    written.lists[PAGES, BOB] = []
    assert (await audit_graph(written, 100)).clean
