"""Packed pages of followers, kept while nothing changed in their partition; how one knows is in stamps_cql.py."""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from svc_graph.domain import Shard
from svc_graph.levels import Crowd
from svc_graph.metrics import PAGES
from svc_graph.packed import PackedPage, packed
from svc_graph.stamps_cql import KEPT_S, Stamp

_OVERHEAD = 400
"""Bytes that a kept page takes beside its ids, about."""


class Stamps(Protocol):
    """Tells what a partition looked like."""

    async def of(self, crowd: Crowd) -> Stamp | None:
        """Its stamp now; None while a change may be under way."""


class Pages(Protocol):
    """Reads pages from the store."""

    async def page(self, followee_id: uuid.UUID, shard: Shard, after: uuid.UUID | None, limit: int) -> list[uuid.UUID]:
        """As GraphStore.follower_page."""


_Key = tuple[Crowd, uuid.UUID | None, int]
_Kept = tuple[float, PackedPage]
"""A page, and when its stamp was asked for: after that its rows were read."""


class KeptPages:
    """A page is served again only under the stamp that its partition had before it was read, asked for anew by each call.

    So a page from here holds exactly what one from the store would: every follow that was acknowledged before the call. Who walks a
    partition says the stamp that an earlier page named, and is served what was kept under it without a look: every follow that was
    acknowledged before that page was asked for.

    A page is kept for half the life of a stamp at most, so that a stamp which expired and one that never was are not taken for each
    other: whenever a stamp that is still the same was seen, it was that of the page, or less than a life ago.
    """

    def __init__(
        self, pages: Pages, stamps: Stamps, room: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`room` in bytes."""
        self._pages, self._stamps = pages, stamps
        self._room, self._monotonic = room, monotonic
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._taken = 0

    async def read(
        self, crowd: Crowd, after: uuid.UUID | None, limit: int, *, stamped: bool, as_of: Stamp = b""
    ) -> PackedPage:
        """One page, as of now or of when somebody was told `as_of`. Unless everybody stamps every change of the partition, it is read."""
        if not stamped:
            return await self._fresh(crowd, after, limit, "small")
        asked_at, key = self._monotonic(), (crowd, after, limit)
        if as_of and (page := self._served(key, as_of, asked_at)):
            return page
        stamp = await self._stamps.of(crowd)
        if stamp is None:
            return await self._fresh(crowd, after, limit, "changing")
        if page := self._served(key, stamp, asked_at):
            return page
        page = await self._fresh(crowd, after, limit, "read", stamp)
        self._keep(key, (asked_at, page))
        return page

    def _served(self, key: _Key, stamp: Stamp, now: float) -> PackedPage | None:
        kept = self._kept.get(key)
        if kept is None or kept[1].as_of != stamp or kept[0] <= now - KEPT_S / 2:
            return None
        self._kept.move_to_end(key)
        PAGES.labels("kept").inc()
        return kept[1]

    async def _fresh(
        self, crowd: Crowd, after: uuid.UUID | None, limit: int, outcome: str, stamp: Stamp = b""
    ) -> PackedPage:
        PAGES.labels(outcome).inc()
        found = await self._pages.page(crowd.followee_id, crowd.shard, after, limit + 1)
        return packed(found, limit, stamp)

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._forget(key)
        self._kept[key] = kept
        self._taken += _OVERHEAD + len(kept[1].follower_ids)
        while self._taken > self._room:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: _Key) -> None:
        if old := self._kept.pop(key, None):
            self._taken -= _OVERHEAD + len(old[1].follower_ids)
