"""The people of the matrix: they do things as clients do, repeating until answered, and know what they were promised."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx

from ops.audit.audit import audit
from ops.audit.count_facts import CountFacts
from ops.audit.counts import audit_counts, described
from runtime.ids import SystemClock
from tests.chaos.listener import Bystander, Listener
from tests.e2e.aviary import PATIENCE_S, Aviary, Person, until

ANSWER_S = 30
"""Whoever asks has an answer within this time, whatever is away: far beyond any deadline of the contract (promise 9)."""

PAGE = 200
"""The longest page of a list; no cast posts more."""

_AGAIN_S = 0.1


class Cast:
    """An author; three who follow: one at the stream, one who reads all the time, one whose home is rebuilt; and one who comes and goes."""

    def __init__(self, aviary: Aviary, people: list[Person]) -> None:
        self.aviary = aviary
        self.people = people
        self.author, self.listening, self.reading, self.third, self.fickle = people
        self.listener = Listener(self.listening)
        self.bystander = Bystander(self.reading, self.author)
        self.accepted: set[str] = set()
        """By the author, answered with 201, and not deleted."""
        self.refused: Counter[str] = Counter()
        self.answers = 0
        """Of any kind, to those who act."""
        self.edge_may_die = False
        self.spoilt = False
        """Whether a cell ended in its middle: nobody knows then what they were promised."""

    @classmethod
    async def assembled(cls, aviary: Aviary) -> "Cast":
        """A new cast that has settled: there are tweets, and every window is cached."""
        clients = [httpx.AsyncClient(base_url=aviary.url, timeout=ANSWER_S) for _ in range(5)]
        cast = cls(aviary, [await Person.register(client) for client in clients])
        for follower in cast.people[1:4]:
            await cast.insist(follower, "POST", f"/users/{cast.author.user_id}/follow")
        for number in range(3):
            await cast.post(uuid.uuid4().hex, f"before everything {number}")
        await aviary.settle()
        for person in cast.people:
            await cast.ids(person, "/timeline/home")
        cast.bystander.must = set(cast.accepted)
        return cast

    async def close(self) -> None:
        """Close every connection."""
        for person in self.people:
            await person.client.aclose()

    @contextlib.asynccontextmanager
    async def watching(self, *, edge_may_die: bool) -> AsyncIterator[None]:
        """While the listener and the bystander are there; raises what they found wrong."""
        self.spoilt = True
        self.edge_may_die = self.bystander.edge_may_die = edge_may_die
        self.refused.clear()
        self.bystander.answers.clear()
        with _unwrapped():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(someone.run()) for someone in (self.listener, self.bystander)]
                await self.listener.connected.wait()
                yield
                for task in tasks:
                    task.cancel()

    async def insist(
        self, person: Person, method: str, path: str, key: str = "", *, also: tuple[int, ...] = (), **options: Any
    ) -> httpx.Response:
        """Repeat a request while the answer is that something is away. Any other answer is given back, and must be a success or `also`."""
        headers: Mapping[str, str] = {"Idempotency-Key": key} if key else {}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    answer = await person.request(method, path, headers=headers, **options)
                except httpx.TransportError as error:
                    assert self.edge_may_die and not isinstance(error, httpx.TimeoutException), repr(error)
                    self.refused["no connection"] += 1
                else:
                    self.answers += 1
                    if answer.status_code not in (503, 504):
                        assert answer.is_success or answer.status_code in also, f"{answer.status_code} {answer.text}"
                        return answer
                    assert answer.status_code == 504 or "retry-after" in answer.headers
                    self.refused[str(answer.status_code)] += 1
                await asyncio.sleep(_AGAIN_S)

    async def ids(self, person: Person, path: str) -> list[str]:
        """The newest page of a list of tweets, as soon as it can be read."""
        answer = await self.insist(person, "GET", path, params={"limit": PAGE})
        return [tweet["tweet_id"] for tweet in answer.json()["tweets"]]

    async def post(self, key: str, content: str) -> str:
        """The author's tweet, once it is accepted."""
        answer = await self.insist(self.author, "POST", "/tweets", key, json={"content": content})
        tweet_id = str(answer.json()["tweet_id"])
        self.accepted.add(tweet_id)
        return tweet_id

    async def sees_own(self, tweet_id: str, *, there: bool = True) -> None:
        """Promise 5: the author reads an own write at once, in the home, in the own timeline and by itself."""
        for path in ("/timeline/home", f"/timeline/user/{self.author.user_id}"):
            assert (tweet_id in await self.ids(self.author, path)) == there, path
        alone = await self.insist(self.author, "GET", f"/tweets/{tweet_id}", also=(404,))
        assert alone.status_code == (200 if there else 404)

    async def follows(self) -> bool:
        """Promise 5: whether the fickle one's own list shows the author, as soon as it can be read."""
        answer = await self.insist(self.fickle, "GET", f"/users/{self.fickle.user_id}/following")
        return self.author.user_id in [user["user_id"] for user in answer.json()["following"]]

    async def all_is_right(self) -> None:
        """Promises 1 and 2, once everything has arrived: author's timeline, every home against the oracle, and what the stream brought."""
        await self.aviary.settle()
        right = sorted(self.accepted, reverse=True)[:PAGE]
        assert await self.ids(self.author, f"/timeline/user/{self.author.user_id}") == right
        # The oracle forgives what was posted within ten seconds after a follow; here none of it is missing.
        for reader in self.people[:4]:
            assert await self.ids(reader, "/timeline/home") == right, reader.username
        async with self.aviary.mesh() as mesh:
            report = await audit(_FactsOf(mesh, self.people), SystemClock().now_ms, 100)
        assert report.clean, report
        await until(lambda: self.accepted <= self.listener.seen | self.bystander.must, "the stream lost a tweet")
        self.bystander.must = set(self.accepted)
        self.spoilt = False

    async def counts_are_right(self) -> None:
        """Promise 3: every count of these people and their tweets is that of its list."""
        async with self.aviary.mesh() as mesh:
            report = await audit_counts(_FactsOf(mesh, self.people), 100)
        assert report.clean, list(described(report)) or report


class _FactsOf(CountFacts):
    """The audit's facts, of a few people only."""

    def __init__(self, mesh: Any, people: list[Person]) -> None:
        super().__init__(mesh)
        self._people = {uuid.UUID(person.user_id).bytes: person.username for person in people}

    async def users(self) -> dict[bytes, str]:
        return self._people


@contextlib.contextmanager
def _unwrapped() -> Iterator[None]:
    """The first of several failures alone: it is what a person wants to read."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
