"""The operation in which an account outgrows one partition of followers; the others are in operations.py."""

import uuid
from collections.abc import Awaitable, Callable

from aviary.graph.v1 import graph_pb2

from ops.audit.graph_facts import GraphFacts
from runtime.context import Caller, acting
from tests.chaos.cast import Cast
from tests.e2e.aviary import Person, until_async

LEVEL0 = 5
"""Followers that one partition takes in this stack: more than anybody of a cast has, so that their tweets are one chunk."""


class Grow:
    """The fifth follower of somebody: fan-out and list have all five at any moment, and the next level is opened in the end."""

    async def prepare(self, cast: Cast) -> None:
        """Four follow somebody new."""
        self._followee = await Person.register(cast.people[0].client)
        for person in cast.people[:-1]:
            await self._set(cast, person, True)
        await cast.aviary.settle()

    async def act(self, cast: Cast, fired: Callable[[], Awaitable[object]]) -> None:
        await self._set(cast, cast.fickle, True)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._all_are_there(cast)
        # Who died had noticed that the partition is full, and told nobody: the next who comes is noticed again.
        for following in (False, True):
            await self._set(cast, cast.fickle, following)

        async def opened() -> bool:
            return await self._partitions(cast) > 1

        await until_async(opened, "the next level was not opened")
        await self._all_are_there(cast)
        for following in (False, True):
            await self._set(cast, cast.listening, following)
        await self._all_are_there(cast)
        for person in cast.people:
            await self._set(cast, person, False)
        assert await self._followers(cast) == (set(), set())

    async def _all_are_there(self, cast: Cast) -> None:
        everybody = {uuid.UUID(person.user_id).bytes for person in cast.people}
        assert await self._followers(cast) == (everybody, everybody)

    async def _set(self, cast: Cast, person: Person, following: bool) -> None:
        await cast.insist(person, "POST" if following else "DELETE", f"/users/{self._followee.user_id}/follow")

    async def _followers(self, cast: Cast) -> tuple[set[bytes], set[bytes]]:
        """Those whom fan-out sees, and those who are listed."""
        followee = uuid.UUID(self._followee.user_id).bytes
        listed = await cast.insist(cast.third, "GET", f"/users/{self._followee.user_id}/followers")
        async with cast.aviary.mesh() as mesh:
            pages = await GraphFacts(mesh).follower_pages(followee)
        return set(pages), {uuid.UUID(user["user_id"]).bytes for user in listed.json()["followers"]}

    async def _partitions(self, cast: Cast) -> int:
        request = graph_pb2.GetFollowerShardsRequest(user_id=uuid.UUID(self._followee.user_id).bytes)
        async with cast.aviary.mesh() as mesh:
            with acting(Caller()):
                return len((await mesh.graph.GetFollowerShards(request)).shards)
