"""What the stored homes answer without a database; with one it is tests/conformance/test_timeline_store.py."""

from typing import Any

from runtime.errors import Unavailable
from runtime.ids import SystemClock
from svc_timeline.store import CqlHomeStore


class Away:
    """A database that answers nothing."""

    def prepare(self, query: str) -> str:
        return query

    async def execute(self, *_: Any) -> Any:
        raise Unavailable("too many expired rows")


async def test_a_database_that_cannot_tell_whether_homes_are_empty_keeps_no_process_from_starting() -> None:
    database: Any = Away()
    assert not await CqlHomeStore(database, SystemClock(), 60).is_empty()
