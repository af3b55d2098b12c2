"""Many ascending lists read as one: in order, whole, and no more of them held than a page of each."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from svc_engage.counting.ascending import Page, ascending

PAGE = 3


class Lists:
    """Lists that count what they gave away and what was taken from that."""

    def __init__(self, lists: Sequence[Sequence[bytes]]) -> None:
        self.lists = lists
        self.given = self.taken = self.most_held = 0

    def page_of(self, number: int) -> Page[bytes]:
        async def page(after: bytes) -> tuple[list[bytes], bool]:
            behind = [one for one in self.lists[number] if one > after]
            self.given += len(behind[:PAGE])
            self.most_held = max(self.most_held, self.given - self.taken)
            return behind[:PAGE], len(behind) > PAGE

        return page


@given(st.lists(st.sets(st.binary(min_size=1, max_size=2)).map(sorted), max_size=6))
def test_all_comes_in_order_and_a_page_of_each_list_is_held(lists: list[list[bytes]]) -> None:
    async def main() -> None:
        some, found = Lists(lists), []
        async for one in ascending([some.page_of(number) for number in range(len(lists))], lambda one: one):
            some.taken += 1
            found.append(one)
        assert found == sorted(one for each in lists for one in each)
        assert some.most_held <= PAGE * len(lists)

    asyncio.run(main())


@given(st.sets(st.binary(min_size=1, max_size=1)).map(sorted))
def test_a_page_that_says_more_follow_may_be_the_last(entries: list[bytes]) -> None:
    async def page(after: bytes) -> tuple[list[bytes], bool]:
        return [one for one in entries if one > after][:1], True

    async def main() -> None:
        pages: list[Page[bytes]] = [page] if entries else []
        assert [one async for one in ascending(pages, lambda one: one)] == entries

    asyncio.run(main())
