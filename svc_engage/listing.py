"""Paging of the lists: from a cursor to a place, from rows to a page; what the rows are, store.py says."""

import struct
from collections.abc import Sequence

from aviary.engage.v1.engage_pb2 import (
    ListBookmarkedTweetsRequest,
    ListLikersRequest,
    ListLikesRequest,
    MarkedTweet,
)
from google.protobuf.descriptor import Descriptor

from cursors import Cursors
from runtime.context import Caller
from svc_engage.domain.marks import Listed, Placed, PlacedLiker

_PLACE = struct.Struct(">IQ16s")


class Listing:
    """One request for a page. Its cursors open for the same viewer, the same list and the same rpc alone."""

    def __init__(
        self,
        request: ListLikesRequest | ListBookmarkedTweetsRequest | ListLikersRequest,
        list_id: bytes,
        caller: Caller,
        cursors: Cursors,
    ) -> None:
        """`list_id` is the account or tweet whose list it is."""
        self._request = request
        self._list_id = list_id
        self._viewer = caller.user_id
        self._cursors = cursors
        self._route = _rpc_of(request.DESCRIPTOR)

    def after_tweet(self) -> Placed | None:
        """Behind which entry of a user's list the page begins, None for the first page. Raises InvalidCursor."""
        key = self._key()
        return Placed(*_PLACE.unpack(key)) if key else None

    def after_liker(self) -> PlacedLiker | None:
        """Behind which liker the page begins, None for the first page. Raises InvalidCursor."""
        key = self._key()
        return PlacedLiker(*_PLACE.unpack(key)) if key else None

    def marked(self, rows: Sequence[Listed]) -> tuple[list[MarkedTweet], bool]:
        """The entries of a page, and whether more follow; `rows` hold one more than the page when there is one."""
        shown = rows[: self._request.limit]
        entries = [
            MarkedTweet(tweet_id=row.tweet_id, author_id=row.author_id, cursor=self._cursor(row.place)) for row in shown
        ]
        return entries, len(rows) > len(shown)

    def likers(self, rows: Sequence[PlacedLiker]) -> tuple[bytes, str]:
        """The ids of a page and the cursor of the next one, empty at the end; `rows` hold one more when there is one."""
        shown = rows[: self._request.limit]
        cursor = self._cursor(shown[-1]) if len(rows) > len(shown) else ""
        return b"".join(row.user_id for row in shown), cursor

    def _key(self) -> bytes:
        if not self._request.cursor:
            return b""
        return self._cursors.open(self._request.cursor, self._route, self._viewer, self._list_id)

    def _cursor(self, place: Placed | PlacedLiker) -> str:
        return self._cursors.seal(self._route, self._viewer, self._list_id, _PLACE.pack(*place))


def _rpc_of(request: Descriptor) -> str:
    services = request.file.services_by_name.values()
    return next(rpc.full_name for service in services for rpc in service.methods if rpc.input_type is request)
