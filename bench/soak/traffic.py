"""People who post, delete, follow, unfollow, like and read while processes are killed; each repeats what was not answered.

What they were promised is remembered here. Who is killed, and whether the promises were kept, is kills.py.
"""

import asyncio
import itertools
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx

from bench.people import Member
from bench.soak.attempts import Attempt

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_API = "/api/v1"
PAUSE_S = 0.1
_AWAY = (502, 503, 504)
_PATIENCE_S = 120.0
_DELETES_EVERY = 5
_LIKERS = 3
_LIKED = 20


@dataclass
class Seen:
    """What was accepted, and how often something was refused because a process was away."""

    tweets: dict[bytes, set[str]] = field(default_factory=dict)
    """By author: what was posted and not deleted."""
    likes: dict[str, dict[bytes, bool]] = field(default_factory=dict)
    """By tweet, who likes it or likes it no longer, as it was answered last. Tweets that nobody deletes."""
    counts: Counter[str] = field(default_factory=Counter)
    """accepted, deleted, read, liked, refused."""
    attempts: list[Attempt] = field(default_factory=list)
    """Every request."""

    def forget(self) -> None:
        """A cycle is over: what was promised stays, what was counted goes."""
        self.counts.clear()
        self.attempts.clear()


class Traffic:
    """The people of a run. Between two `run`s nobody does anything."""

    def __init__(
        self, client: httpx.AsyncClient, authors: list[Member], readers: list[Member], pause_s: float = PAUSE_S
    ) -> None:
        """Each waits `pause_s` seconds between what it does."""
        self._client = client
        self._pause_s = pause_s
        self._operations = itertools.count()
        self.authors = authors
        self._readers = readers
        self.seen = Seen(tweets={author.user_id: set() for author in authors})

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until told to stop; then everybody ends what was begun. Raises what nobody may see."""
        async with asyncio.TaskGroup() as group:
            for author in self.authors:
                group.create_task(self._post(author, stop))
            for reader in self._readers:
                group.create_task(self._read(reader, stop))
            for reader in self._readers[:_LIKERS]:
                group.create_task(self._like(reader, stop))
            group.create_task(self._change_mind(self._readers[0], self.authors[0], stop))

    async def listed(self, author: Member) -> list[str]:
        """The author's timeline, all of it."""
        found: list[str] = []
        path = f"/timeline/user/{uuid.UUID(bytes=author.user_id)}?limit=200"
        position = ""
        while True:
            page = await self._done("timeline", "GET", path + position, author)
            found += [tweet["tweet_id"] for tweet in page["tweets"]]
            if not page["has_more"]:
                return found
            position = f"&max_id={page['next_max_id']}"

    async def _post(self, author: Member, stop: asyncio.Event) -> None:
        mine = self.seen.tweets[author.user_id]
        number = 0
        while not stop.is_set():
            number += 1
            key = {"Idempotency-Key": uuid.uuid4().hex}
            tweet = await self._done("post", "POST", "/tweets", author, {"content": f"number {number}"}, key)
            mine.add(tweet["tweet_id"])
            self.seen.counts["accepted"] += 1
            if number % _DELETES_EVERY == 0:
                await self._done("delete", "DELETE", f"/tweets/{tweet['tweet_id']}", author)
                mine.discard(tweet["tweet_id"])
                self.seen.counts["deleted"] += 1
            elif len(self.seen.likes) < _LIKED:
                self.seen.likes[tweet["tweet_id"]] = {}
            await asyncio.sleep(self._pause_s)

    async def _read(self, reader: Member, stop: asyncio.Event) -> None:
        while not stop.is_set():
            page = await self._done("home", "GET", "/timeline/home?limit=50", reader)
            ids = [tweet["tweet_id"] for tweet in page["tweets"]]
            if ids != sorted(set(ids), reverse=True):
                raise RuntimeError(f"a home is out of order or holds a tweet twice: {ids}")
            self.seen.counts["read"] += 1
            await asyncio.sleep(self._pause_s)

    async def _like(self, reader: Member, stop: asyncio.Event) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            if tweets := list(self.seen.likes):
                tweet = tweets[number * 7 % len(tweets)]
                liked = not self.seen.likes[tweet].get(reader.user_id, False)
                method = "POST" if liked else "DELETE"
                await self._done("like", method, f"/tweets/{tweet}/like", reader)
                self.seen.likes[tweet][reader.user_id] = liked
                self.seen.counts["liked"] += 1
            await asyncio.sleep(self._pause_s)

    async def _change_mind(self, reader: Member, author: Member, stop: asyncio.Event) -> None:
        path = f"/users/{uuid.UUID(bytes=author.user_id)}/follow"
        while not stop.is_set():
            await self._done("unfollow", "DELETE", path, reader)
            await self._done("follow", "POST", path, reader)
            await asyncio.sleep(self._pause_s)

    async def _done(
        self,
        kind: str,
        method: str,
        path: str,
        member: Member,
        body: object = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Any:
        """The answer of a request that is repeated while a process is away. Raises RuntimeError for any other failure."""
        whole = {"Authorization": f"Bearer {member.token}", **headers}
        operation = next(self._operations)
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                begun = time.monotonic()
                try:
                    answer = await self._client.request(method, _API + path, headers=whole, json=body)
                    error = "" if answer.is_success else str(answer.status_code)
                except httpx.TransportError as failure:
                    answer, error = None, type(failure).__name__
                self.seen.attempts.append(Attempt(operation, kind, begun, time.monotonic(), error))
                if answer is not None and answer.is_success:
                    return answer.json()
                if answer is not None and answer.status_code not in _AWAY:
                    raise RuntimeError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
                self.seen.counts["refused"] += 1
                await asyncio.sleep(PAUSE_S)
