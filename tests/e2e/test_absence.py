"""Who has been away for long is known to fan-out, gets every tweet all the same, and is active again soon after reading."""

import uuid

from tests.e2e.absence import away, followed_by, from_long_ago, kept_for_long, read_home
from tests.e2e.aviary import Aviary, until_async


async def test_who_reads_after_an_absence_is_active_soon_and_has_missed_nothing(aviary: Aviary) -> None:
    """P21."""
    await kept_for_long(aviary)
    returning, absent = from_long_ago(), from_long_ago()
    async with aviary.people(2) as (author, new):
        await new.follow(author)
        author_id = uuid.UUID(author.user_id).bytes
        async with followed_by(aviary, author_id, returning, absent) as mesh:

            async def both_are_away() -> bool:
                return await away(mesh, author_id) == {returning, absent}

            await until_async(both_are_away, "nobody is known to be away")
            tweet = uuid.UUID(await author.post("for everybody")).bytes
            await aviary.settle()
            assert await read_home(mesh, returning) == [tweet]

            async def one_is_away() -> bool:
                return await away(mesh, author_id) == {absent}

            await until_async(one_is_away, "who reads again is not active")
            await author.ok("GET", "/timeline/home")
            assert await away(mesh, author_id) == {absent}
