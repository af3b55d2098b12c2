"""From the driver's threads to the event loop; nothing here knows CQL."""

import asyncio
from collections import deque
from typing import Any


class Bridge:
    """Turns response futures of the driver into awaitables, with one loop wake-up for a whole burst of answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._woken = False

    def wait(self, response: Any) -> asyncio.Future[Any]:
        """The rows of the response, or its error, unchanged."""
        future: asyncio.Future[Any] = self._loop.create_future()
        response.add_callbacks(
            lambda rows: self._finish(future, rows, None), lambda error: self._finish(future, None, error)
        )
        return future

    def _finish(self, future: asyncio.Future[Any], rows: Any, error: BaseException | None) -> None:
        # On a driver thread. Appended before the flag is looked at, and _drain clears that before it looks: no answer is left lying.
        self._done.append((future, rows, error))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._woken = False
        while self._done:
            future, rows, error = self._done.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(rows)
            else:
                future.set_exception(error)
