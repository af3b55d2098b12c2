"""A pipeline gives each visible item once, in pages of any size, and says the end only at the end."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from views.items import Item, Page, Query, Scan, State
from views.pipeline import Pipeline

AUTHOR = b"a" * 16


def item(number: int) -> Item:
    return Item(number.to_bytes(16), AUTHOR)


@dataclass
class Listed:
    """A skeleton of numbers, newest first, of which some are hidden by the only rule."""

    numbers: list[int]
    hidden: set[int]
    scans: int = 0

    async def skeleton(self, query: Query) -> Scan:
        self.scans += 1
        below = [n for n in self.numbers if not query.max_id or n < int.from_bytes(query.max_id)]
        stretch = [n for n in below if n > int.from_bytes(query.since_id)]
        return Scan([item(n) for n in stretch[: query.limit]], len(stretch) > query.limit)

    async def hydrate(self, query: Query, scan: Scan) -> State:
        return State(query.viewer, {}, {})

    def rule(self, items: list[Item], state: State) -> list[Item]:
        return [i for i in items if int.from_bytes(i.tweet_id) not in self.hidden]

    def pipeline(self, rounds: int = 5, refill: int = 2) -> Pipeline:
        return Pipeline(
            self.skeleton, self.hydrate, [self.rule], lambda items, _: [i.tweet_id for i in items], rounds, refill
        )


async def walk(listed: Listed, limit: int, rounds: int = 5) -> tuple[list[int], list[Page]]:
    """All pages of a list, as a client walks them."""
    pages: list[Page] = []
    position = b""
    while True:
        page = await listed.pipeline(rounds).run(Query(b"", b"", limit, position))
        pages.append(page)
        if not page.has_more:
            return [int.from_bytes(f) for p in pages for f in p.frames], pages
        assert page.next_max_id and (not position or page.next_max_id < position), "no page stands still"
        position = page.next_max_id


@given(
    numbers=st.sets(st.integers(1, 120), max_size=60),
    hide=st.sets(st.integers(1, 120), max_size=80),
    limit=st.integers(1, 20),
    rounds=st.integers(1, 4),
)
@settings(deadline=None, max_examples=150)
async def test_pages_of_any_size_give_the_same_whole(
    numbers: set[int], hide: set[int], limit: int, rounds: int
) -> None:
    """P31: nothing twice, nothing skipped, however the rules cut into pages."""
    listed = Listed(sorted(numbers, reverse=True), hide)
    seen, pages = await walk(listed, limit, rounds)
    assert seen == sorted(numbers - hide, reverse=True)
    assert all(len(page.frames) <= limit for page in pages)
    assert pages[-1].next_max_id == b""


@given(numbers=st.sets(st.integers(1, 60), max_size=40), hide=st.sets(st.integers(1, 60)), limit=st.integers(1, 12))
@settings(deadline=None, max_examples=100)
async def test_a_page_is_full_or_the_end_is_true_unless_the_rounds_are_used_up(
    numbers: set[int], hide: set[int], limit: int
) -> None:
    """P32: a short page that says more follows comes only after all rounds."""
    listed = Listed(sorted(numbers, reverse=True), hide)
    page = await listed.pipeline(rounds=3).run(Query(b"", b"", limit))
    if page.has_more and len(page.frames) < limit:
        assert listed.scans == 3
    if not page.has_more:
        assert [int.from_bytes(f) for f in page.frames] == sorted(numbers - hide, reverse=True)


async def test_when_everything_is_filtered_the_page_still_says_where_to_go_on() -> None:
    """P32: an empty page with a next position is not the end."""
    listed = Listed(list(range(100, 0, -1)), set(range(2, 101)))
    page = await listed.pipeline(rounds=2).run(Query(b"", b"", 5))
    assert page.frames == [] and page.has_more
    assert int.from_bytes(page.next_max_id) == 91, "the last scanned id: five in each of two rounds"
    seen, _ = await walk(listed, 5, rounds=2)
    assert seen == [1]


async def test_items_that_did_not_fit_are_on_the_next_page() -> None:
    listed = Listed(list(range(20, 0, -1)), {20, 19})
    page = await listed.pipeline(refill=10).run(Query(b"", b"", 3))
    assert [int.from_bytes(f) for f in page.frames] == [18, 17, 16]
    assert page.has_more and int.from_bytes(page.next_max_id) == 16


async def test_an_empty_list_is_the_true_end() -> None:
    page = await Listed([], set()).pipeline().run(Query(b"", b"", 3))
    assert page == Page([], b"", False)


async def test_a_full_page_at_the_true_end_says_so() -> None:
    page = await Listed([3, 2, 1], set()).pipeline().run(Query(b"", b"", 3))
    assert len(page.frames) == 3 and not page.has_more and page.next_max_id == b""


async def test_since_id_bounds_every_round() -> None:
    listed = Listed(list(range(20, 0, -1)), set(range(12, 21)))
    page = await listed.pipeline(rounds=9).run(Query(b"", b"", 4, b"", (9).to_bytes(16)))
    assert [int.from_bytes(f) for f in page.frames] == [11, 10] and not page.has_more
