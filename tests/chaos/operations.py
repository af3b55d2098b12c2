"""What is done at the points of the matrix, each as an operation with what its client is promised; where and whom it loses is cells.py."""

import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from typing import Protocol

import httpx
import redis.asyncio
from prometheus_client.parser import text_string_to_metric_families

from redis_client import tag
from tests.chaos.apps import LetIn, RegisterApp, Withdraw
from tests.chaos.blocking import Block, Mute, Unblock
from tests.chaos.cast import Cast
from tests.chaos.growing import Grow
from tests.chaos.logins import ChangePassword, EndLogin, LogIn, Refresh
from tests.chaos.returning import Return
from tests.e2e.aviary import until_async

Fired = Callable[[], Awaitable[object]]


class Operation(Protocol):
    """Made anew for each cell."""

    async def prepare(self, cast: Cast) -> None:
        """Bring about what the operation begins with, before the point is armed."""

    async def act(self, cast: Cast, fired: Fired) -> None:
        """Do it until it is answered, see the own write at once, and be sure that the point was passed."""

    async def after(self, cast: Cast) -> None:
        """When all is back: what a repetition does, and the own write again."""


class Create:
    """A post; promises 1, 5, 7."""

    async def prepare(self, cast: Cast) -> None:
        """With a mention, so that svc_user is asked too."""
        self._key, self._content = uuid.uuid4().hex, f"hello @{cast.third.username}, {uuid.uuid4().hex[:8]}"

    async def act(self, cast: Cast, fired: Fired) -> None:
        self._tweet_id = await cast.post(self._key, self._content)
        await cast.sees_own(self._tweet_id)
        await fired()

    async def after(self, cast: Cast) -> None:
        assert await cast.post(self._key, self._content) == self._tweet_id
        await cast.sees_own(self._tweet_id)


class Relayed(Create):
    """A post that the broker did not take, so that the relay publishes it."""

    async def prepare(self, cast: Cast) -> None:
        await super().prepare(cast)
        port = cast.aviary.running.process("svc_tweet").ports["metrics"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as metrics:
            before = await _left_to_the_relay(metrics)

            async def left() -> bool:
                return await _left_to_the_relay(metrics) > before

            broker, self._owner = cast.aviary.process("nats"), cast.aviary.process("svc_tweet")
            os.kill(broker, signal.SIGSTOP)
            self._tweet_id = await cast.post(self._key, self._content)
            await until_async(left, "svc_tweet did not leave the announcement to the relay")
        # The relay must not pass before the point is armed; and what lies in the broker's sockets must not be published after all.
        os.kill(self._owner, signal.SIGSTOP)
        os.kill(broker, signal.SIGKILL)
        await cast.aviary.again("nats", broker)

    async def act(self, cast: Cast, fired: Fired) -> None:
        os.kill(self._owner, signal.SIGCONT)
        await fired()
        await cast.sees_own(self._tweet_id)


class Delete(Create):
    """The end of a tweet that everybody has; promises 4, 5."""

    async def prepare(self, cast: Cast) -> None:
        await super().prepare(cast)
        self._tweet_id = await cast.post(self._key, self._content)
        await cast.aviary.settle()

    async def act(self, cast: Cast, fired: Fired) -> None:
        cast.bystander.must.discard(self._tweet_id)
        cast.accepted.discard(self._tweet_id)
        await cast.insist(cast.author, "DELETE", f"/tweets/{self._tweet_id}")
        cast.bystander.is_gone(self._tweet_id)
        await cast.sees_own(self._tweet_id, there=False)
        await fired()

    async def after(self, cast: Cast) -> None:
        await cast.insist(cast.author, "DELETE", f"/tweets/{self._tweet_id}")
        await cast.sees_own(self._tweet_id, there=False)


class Follow:
    """A follow by somebody who did not; promises 1, 5, 7."""

    following = True

    async def prepare(self, cast: Cast) -> None:
        await self._set(cast, not self.following)
        await cast.aviary.settle()
        # Now the edge has the follows of before in its cache.
        await cast.ids(cast.fickle, "/timeline/home")

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self._set(cast, self.following)
        await self._check(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._set(cast, self.following)
        await self._check(cast)

    async def _set(self, cast: Cast, following: bool) -> None:
        await cast.insist(cast.fickle, "POST" if following else "DELETE", f"/users/{cast.author.user_id}/follow")

    async def _check(self, cast: Cast) -> None:
        assert await cast.follows() == self.following
        if not self.following:
            assert await cast.ids(cast.fickle, "/timeline/home") == []


class Unfollow(Follow):
    """The end of a follow: the home is without the author at once."""

    following = False


class Like:
    """A like by somebody who did not; promises 1, 3, 5, 7."""

    liked = True

    async def prepare(self, cast: Cast) -> None:
        self._tweet_id = await cast.post(uuid.uuid4().hex, "to be liked")
        await self._set(cast, not self.liked)
        await cast.aviary.settle()

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self._set(cast, self.liked)
        await self._check(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._set(cast, self.liked)
        await self._check(cast)
        await cast.aviary.settle()
        seen = await cast.insist(cast.third, "GET", f"/tweets/{self._tweet_id}")
        assert (seen.json()["likes_count"], seen.json()["liked"]) == (int(self.liked), False)
        await cast.counts_are_right()

    async def _set(self, cast: Cast, liked: bool) -> None:
        answer = await cast.insist(cast.fickle, "POST" if liked else "DELETE", f"/tweets/{self._tweet_id}/like")
        assert answer.json()["liked"] == liked

    async def _check(self, cast: Cast) -> None:
        answer = await cast.insist(cast.fickle, "GET", f"/tweets/{self._tweet_id}")
        # Without svc_engage flags are not known, and the answer says so.
        if "x-aviary-degraded" not in answer.headers:
            assert answer.json()["liked"] == self.liked
            # A first try that was not answered may be counted already, and is shown beside the second for a moment.
            assert answer.json()["likes_count"] in ((1, 2) if self.liked else (0,))
        # The rows that lists are made of are written behind the answer: by the owner, if who answered is dead.
        listed = await cast.insist(cast.fickle, "GET", f"/users/{cast.fickle.user_id}/likes")
        assert (self._tweet_id in [tweet["tweet_id"] for tweet in listed.json()["tweets"]]) == self.liked


class Unlike(Like):
    """The end of a like."""

    liked = False


class Rebuild:
    """A read of a home whose window is gone, and a post while it is built."""

    async def prepare(self, cast: Cast) -> None:
        addresses = cast.aviary.running.addresses
        reader = uuid.UUID(cast.third.user_id).bytes
        async with redis.asyncio.Redis.from_url(addresses["AVIARY_REDIS_URL"]) as client:
            await client.delete(f"{addresses['AVIARY_NAMESPACE']}:{tag(reader)}:home:".encode() + reader)

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self.after(cast)
        await fired()
        await cast.post(uuid.uuid4().hex, "pushed into a window that is being built")

    async def after(self, cast: Cast) -> None:
        assert await cast.ids(cast.third, "/timeline/home") == sorted(cast.accepted, reverse=True)[:200]


class Register:
    """A registration: an account that works, or none that anybody can see."""

    async def prepare(self, cast: Cast) -> None:
        self._name = uuid.uuid4().hex[:12]

    async def act(self, cast: Cast, fired: Fired) -> None:
        body = {"username": self._name, "email": f"{self._name}@aviary.example", "password": f"long {self._name}"}
        answer = await cast.insist(cast.third, "POST", "/auth/register", json=body, also=(409,))
        if answer.status_code == 201:
            await self.after(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        body = {"login": self._name, "password": f"long {self._name}"}
        login = await cast.insist(cast.third, "POST", "/auth/login", json=body, also=(401,))
        shown = await cast.insist(cast.third, "GET", f"/users/by/username/{self._name}", also=(404,))
        assert (login.status_code, shown.status_code) in ((200, 200), (401, 404))


class Rename:
    """Another username: one of the two at any time, and nobody else gets either; promises 5, 7."""

    async def prepare(self, cast: Cast) -> None:
        self._old, self._new = cast.fickle.username, uuid.uuid4().hex[:12]

    async def act(self, cast: Cast, fired: Fired) -> None:
        await self._rename(cast)
        await fired()

    async def after(self, cast: Cast) -> None:
        await self._rename(cast)
        for name in (self._old, self._new):
            body = {"username": name, "email": f"{uuid.uuid4().hex}@aviary.example", "password": f"long {name}"}
            taken = await cast.insist(cast.third, "POST", "/auth/register", json=body, also=(409,))
            assert taken.status_code == 409
        cast.fickle.username = self._new

    async def _rename(self, cast: Cast) -> None:
        answer = await cast.insist(cast.fickle, "PATCH", "/users/me", json={"username": self._new})
        assert answer.json()["username"] == self._new
        for path in ("/users/me", f"/users/{cast.fickle.user_id}", f"/users/by/username/{self._new}"):
            shown = await cast.insist(cast.fickle, "GET", path)
            assert (shown.json()["user_id"], shown.json()["username"]) == (cast.fickle.user_id, self._new), path
        gone = await cast.insist(cast.fickle, "GET", f"/users/by/username/{self._old}", also=(404,))
        assert gone.status_code == 404


OPERATIONS: dict[str, type[Operation]] = {
    "register": Register,
    "rename": Rename,
    "login": LogIn,
    "refresh": Refresh,
    "end login": EndLogin,
    "password": ChangePassword,
    "register app": RegisterApp,
    "let in": LetIn,
    "withdraw": Withdraw,
    "create": Create,
    "publish": Create,
    "relay": Relayed,
    "plan": Create,
    "chunk": Create,
    "delete": Delete,
    "follow": Follow,
    "unfollow": Unfollow,
    "block": Block,
    "unblock": Unblock,
    "mute": Mute,
    "backfill": Follow,
    "grow": Grow,
    "return": Return,
    "rebuild": Rebuild,
    "like": Like,
    "unlike": Unlike,
    "count": Like,
}


async def _left_to_the_relay(metrics: httpx.AsyncClient) -> float:
    text = (await metrics.get("/metrics")).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return sum(
        s.value
        for s in samples
        if s.name == "aviary_mesh_outbox_published_total" and s.labels.get("outcome") == "later"
    )
