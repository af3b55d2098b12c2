"""Blocks and mutes at the points of the matrix, and what who set them is promised."""

from typing import Any

from tests.chaos.cast import Cast


class Block:
    """A block between two who follow each other; promises 4, 5, 7. No follow is left, and none comes back when the block ends."""

    async def prepare(self, cast: Cast) -> None:
        await self.end(cast)
        await cast.insist(cast.fickle, "POST", f"/users/{cast.author.user_id}/follow")
        await cast.insist(cast.author, "POST", f"/users/{cast.fickle.user_id}/follow")
        await cast.aviary.settle()
        # Now the edge has how they stood to each other in its cache.
        await cast.ids(cast.fickle, "/timeline/home")
        self._tweets = await cast.ids(cast.author, f"/timeline/user/{cast.author.user_id}")

    async def act(self, cast: Cast, fired: Any) -> None:
        await self._block(cast)
        await self._check(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._block(cast)
        await self._check(cast)
        await cast.counts_are_right()
        await self.end(cast)
        assert not await cast.follows()
        for one, other in ((cast.fickle, cast.author), (cast.author, cast.fickle)):
            assert not any((await _relationship(cast, one, other)).values())

    async def end(self, cast: Cast) -> None:
        """Leave the cast as it was."""
        await cast.insist(cast.fickle, "DELETE", f"/users/{cast.author.user_id}/block")

    async def _block(self, cast: Cast) -> None:
        answer = await cast.insist(cast.fickle, "POST", f"/users/{cast.author.user_id}/block")
        assert answer.json()["blocking"] is True

    async def _check(self, cast: Cast) -> None:
        """Neither sees the other, whichever of them asks."""
        assert await cast.ids(cast.fickle, "/timeline/home") == []
        assert await cast.ids(cast.fickle, f"/timeline/user/{cast.author.user_id}") == []
        shown = await cast.insist(cast.fickle, "GET", f"/tweets/{self._tweets[0]}", also=(404,))
        assert shown.status_code == 404
        stands = await _relationship(cast, cast.author, cast.fickle)
        assert {name for name, state in stands.items() if state} == {"blocked_by"}
        refused = await cast.insist(cast.author, "POST", f"/users/{cast.fickle.user_id}/follow", also=(403,))
        assert refused.status_code == 403


class Unblock(Block):
    """The end of a block: both see each other again, and neither follows."""

    async def prepare(self, cast: Cast) -> None:
        await super().prepare(cast)
        await self._block(cast)
        await cast.aviary.settle()

    async def act(self, cast: Cast, fired: Any) -> None:
        await self.end(cast)
        await self._check(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self.end(cast)
        await self._check(cast)
        await cast.counts_are_right()

    async def _check(self, cast: Cast) -> None:
        assert not any((await _relationship(cast, cast.fickle, cast.author)).values())
        shown = await cast.insist(cast.fickle, "GET", f"/tweets/{self._tweets[0]}", also=(404,))
        assert shown.status_code == 200


class Mute:
    """A mute of an author whom one follows: gone from the home at once, there again when it ends; promises 4, 5, 7."""

    async def prepare(self, cast: Cast) -> None:
        await self._end(cast)
        await cast.insist(cast.fickle, "POST", f"/users/{cast.author.user_id}/follow")
        await cast.aviary.settle()
        assert await cast.ids(cast.fickle, "/timeline/home")

    async def act(self, cast: Cast, fired: Any) -> None:
        await self._mute(cast)
        assert await cast.ids(cast.fickle, "/timeline/home") == []
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._mute(cast)
        assert await cast.ids(cast.fickle, "/timeline/home") == []
        await self._end(cast)
        assert await cast.ids(cast.fickle, "/timeline/home")

    async def _mute(self, cast: Cast) -> None:
        answer = await cast.insist(cast.fickle, "POST", f"/users/{cast.author.user_id}/mute")
        assert answer.json()["muting"] is True

    async def _end(self, cast: Cast) -> None:
        await cast.insist(cast.fickle, "DELETE", f"/users/{cast.author.user_id}/mute")


async def _relationship(cast: Cast, viewer: Any, other: Any) -> dict[str, bool]:
    answer = await cast.insist(viewer, "GET", f"/users/{other.user_id}/relationship")
    return {name: state for name, state in answer.json().items() if isinstance(state, bool)}
