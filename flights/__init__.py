"""Single flight: identical loads at the same time are one load. Keeps nothing once it has arrived.

Questions that wait for each other and go together are in gathering.py, what is asked for before it is too old in ahead.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

from runtime.context import NOBODY, acting

V = TypeVar("V")

LOAD_DEADLINE_S = 2.0


class Flights(Generic[V]):
    """Loads values by id in batches; an id that is already on its way is waited for, not loaded again.

    A load belongs to nobody: it runs with its own deadline and outlives the request that started it, because others wait.
    """

    def __init__(self, fetch: Callable[[list[bytes]], Awaitable[Mapping[bytes, V]]], batch: int) -> None:
        self._fetch = fetch
        self._batch = batch
        self._flying: dict[bytes, asyncio.Task[Mapping[bytes, V]]] = {}

    async def load(self, ids: Collection[bytes], share: bool = True) -> dict[bytes, V]:
        """What exists of the ids. `share=False`: nothing that was asked before this call is good enough."""
        tasks: set[asyncio.Task[Mapping[bytes, V]]] = set()
        mine = []
        for key in ids:
            flying = self._flying.get(key) if share else None
            if flying is None:
                mine.append(key)
            else:
                tasks.add(flying)
        for start in range(0, len(mine), self._batch):
            tasks.add(self._take_off(mine[start : start + self._batch]))
        found: dict[bytes, V] = {}
        wanted = set(ids)
        shielded = [asyncio.shield(task) for task in tasks]
        # One load is what there nearly always is, and a gathering of one costs as much as what it gathers.
        for arrived in [await shielded[0]] if len(shielded) == 1 else await asyncio.gather(*shielded):
            found.update((key, value) for key, value in arrived.items() if key in wanted)
        return found

    def forget(self) -> None:
        """What is on its way is good enough for nobody who asks from now on; who waits for it gets it."""
        self._flying.clear()

    def _take_off(self, ids: list[bytes]) -> "asyncio.Task[Mapping[bytes, V]]":
        async def fly() -> Mapping[bytes, V]:
            return await self._fetch(ids)

        with acting(NOBODY, LOAD_DEADLINE_S):
            task = asyncio.get_running_loop().create_task(fly())
        for key in ids:
            self._flying[key] = task
        task.add_done_callback(lambda done: self._land(ids, done))
        return task

    def _land(self, ids: list[bytes], task: "asyncio.Task[Mapping[bytes, V]]") -> None:
        for key in ids:
            if self._flying.get(key) is task:
                del self._flying[key]
        if not task.cancelled():
            # Waiters raise it; without one that is still there, asyncio would report it as forgotten.
            task.exception()
