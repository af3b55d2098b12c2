"""How the store asks; what it answers is tried in tests/conformance."""

import asyncio
import os
from typing import cast

from cql_client import Cql
from runtime.ids import Clock
from svc_engage.domain.relations import Kind, Subject
from svc_engage.store_cql import CqlEngageStore


class SlowCql:
    """Answers each question a few turns of the loop later."""

    def __init__(self) -> None:
        self.asked = self.in_flight = self.most = 0

    def prepare(self, query: str) -> str:
        return query

    async def execute(self, statement: str, params: object) -> list[object]:
        self.asked += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        for _ in range(5):
            await asyncio.sleep(0)
        self.in_flight -= 1
        return []


async def test_of_a_large_question_only_two_parts_are_asked_at_once() -> None:
    """Whoever counts would keep those who wait for an answer waiting behind hundreds of parts."""
    cql = SlowCql()
    store = CqlEngageStore(cast(Cql, cql), cast(Clock, None))
    assert await store.counts([Subject(os.urandom(16), Kind.LIKES) for _ in range(2000)]) == {}
    assert (cql.asked, cql.most) == (20, 2)
