"""Paging of the lists by time: from a cursor to a position, from rows to a page and the next cursor."""

import uuid
from collections.abc import Sequence
from functools import lru_cache

from aviary.graph.v1.graph_pb2 import (
    FollowEntry,
    ListBlocksByTimeRequest,
    ListFollowersByTimeRequest,
    ListFollowingByTimeRequest,
    ListMutesByTimeRequest,
)
from google.protobuf.descriptor import Descriptor

from cursors import Cursors
from runtime.context import Caller
from runtime.ids import ms_of
from svc_graph.domain import ListedFollow

ListRequest = ListFollowersByTimeRequest | ListFollowingByTimeRequest | ListBlocksByTimeRequest | ListMutesByTimeRequest


class Listing:
    """One request for a page. Its cursors open for the same viewer, the same list and the same rpc alone."""

    def __init__(self, request: ListRequest, caller: Caller, cursors: Cursors) -> None:
        self._request = request
        self._viewer = caller.user_id
        self._cursors = cursors
        self._route = _rpc_of(request.DESCRIPTOR)

    def before(self) -> uuid.UUID | None:
        """The follow_id below which the page starts, None for the first page. Raises InvalidCursor."""
        if not self._request.cursor:
            return None
        key = self._cursors.open(self._request.cursor, self._route, self._viewer, self._request.user_id)
        return uuid.UUID(bytes=key)

    def page(self, rows: Sequence[ListedFollow]) -> tuple[list[FollowEntry], str]:
        """The entries, and the cursor of the next page, empty at the end; `rows` hold one more than the page when there is one."""
        shown = rows[: self._request.limit]
        if len(rows) == len(shown):
            return [entry(row) for row in shown], ""
        key = shown[-1].follow_id.bytes
        cursor = self._cursors.seal(self._route, self._viewer, self._request.user_id, key)
        return [entry(row) for row in shown], cursor


@lru_cache
def _rpc_of(request: Descriptor) -> str:
    services = request.file.services_by_name.values()
    return next(rpc.full_name for service in services for rpc in service.methods if rpc.input_type is request)


def entry(row: ListedFollow) -> FollowEntry:
    """A row as the contract has it."""
    shown = FollowEntry(user_id=row.user_id.bytes)
    shown.followed_at.FromMilliseconds(ms_of(row.follow_id.bytes))
    return shown
