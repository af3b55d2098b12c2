"""Many ascending lists read as one, a page of each at a time; whose lists they are is not known here."""

import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Page = Callable[[bytes], Awaitable[tuple[Sequence[T], bool]]]
"""The entries of a list behind an id (empty: from its beginning), ascending, and whether more follow the last of them."""


async def ascending(lists: Sequence[Page[T]], id_of: Callable[[T], bytes]) -> AsyncIterator[T]:
    """The entries of all lists in the order of their ids; what stands in two comes twice. Holds one page of each list."""
    heads: list[tuple[bytes, int]] = []
    pages: list[tuple[Sequence[T], bool]] = []
    places = [0] * len(lists)
    for number, read in enumerate(lists):
        pages.append(await read(b""))
        if pages[number][0]:
            heads.append((id_of(pages[number][0][0]), number))
    heapq.heapify(heads)
    while heads:
        after, number = heads[0]
        entries, more = pages[number]
        yield entries[places[number]]
        places[number] += 1
        if places[number] == len(entries) and more:
            pages[number], places[number] = await lists[number](after), 0
        entries = pages[number][0]
        if places[number] < len(entries):
            heapq.heapreplace(heads, (id_of(entries[places[number]]), number))
        else:
            heapq.heappop(heads)
