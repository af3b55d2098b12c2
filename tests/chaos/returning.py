"""The operation in which somebody reads who was away for long; the others are in operations.py."""

import uuid
from collections.abc import Awaitable, Callable

from grpc import aio

from tests.chaos.cast import Cast
from tests.e2e.absence import away, days_of, followed_by, from_long_ago, read_home
from tests.e2e.aviary import until_async


class Return:
    """The first read after an absence. Once it was answered svc_graph learns of it, whoever dies, and fan-out is told so."""

    async def prepare(self, cast: Cast) -> None:
        """Somebody follows the author whom nobody has seen for years."""
        self._reader, self._followee = from_long_ago(), uuid.UUID(cast.author.user_id).bytes
        async with followed_by(cast.aviary, self._followee, self._reader):
            pass

    async def act(self, cast: Cast, fired: Callable[[], Awaitable[object]]) -> None:
        async def answered() -> bool:
            try:
                await read_home(mesh, self._reader)
            except aio.AioRpcError:
                return False
            return True

        async with cast.aviary.mesh() as mesh:
            await until_async(answered, "the home was not read")
        await fired()

    async def after(self, cast: Cast) -> None:
        async with cast.aviary.mesh() as mesh, days_of(cast.aviary) as days:

            async def known() -> bool:
                return bool(await days.seen([self._reader]))

            await until_async(known, "svc_graph did not learn that somebody read")
            assert self._reader not in await away(mesh, self._followee)
