"""What TweetStore promises, sentence by sentence, in memory and on the real server."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from aviary.tweet.v1.events_pb2 import TweetCreated, TweetDeleted

from cql_client import Cql
from idempotency import KEPT_S
from outbox import CqlOutbox, CqlOutboxTable, Outbox
from runtime.config import MeshConfig
from runtime.faults import NO_FAULTS
from runtime.ids import SystemClock, Uuid7Ids, uuid7_of
from simulation.bus import MemoryBus
from simulation.outbox import MemoryOutbox
from svc_tweet.domain.tweets import NEWEST, OLDEST, Claim, Tweet, deletion_us
from svc_tweet.events import tweet_created, tweet_deleted
from svc_tweet.store import SCHEMA, CqlTweetStore, TweetStore
from svc_tweet.store_memory import MemoryTweetStore

CLOCK = SystemClock()
IDS = Uuid7Ids(CLOCK)
MONTH_MS = 31 * 24 * 3600 * 1000
PURGE_S = 1


@dataclass(frozen=True)
class Subject:
    """A store, its outbox and the bus behind that."""

    store: TweetStore
    outbox: CqlOutbox | MemoryOutbox
    bus: MemoryBus


@pytest.fixture(scope="session")
async def cql(mesh_config: MeshConfig) -> AsyncIterator[Cql]:
    # Not the keyspace of the service: its relay would publish what is announced here before it is looked for.
    opened = await Cql.connect(dataclasses.replace(mesh_config, area="tweet_store"), SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture
async def bus() -> MemoryBus:
    bus = MemoryBus("svc_tweet")
    await bus.declare([TweetCreated, TweetDeleted])
    return bus


@pytest.fixture(params=["memory", "cql"])
def subject(request: pytest.FixtureRequest, bus: MemoryBus) -> Subject:
    if request.param == "memory":
        memory = MemoryOutbox(bus, CLOCK)
        return Subject(MemoryTweetStore(memory.write, CLOCK, PURGE_S), memory, bus)
    cql: Cql = request.getfixturevalue("cql")
    outbox = Outbox(CqlOutboxTable(cql, CLOCK), bus, CLOCK, NO_FAULTS)
    return Subject(CqlTweetStore(cql, outbox, PURGE_S), outbox, bus)


@pytest.fixture
def store(subject: Subject) -> TweetStore:
    return subject.store


def claim(body: bytes = b"h" * 32) -> Claim:
    return Claim(body, IDS.next(), b"m" * 16)


def tweet(author: uuid.UUID, tweet_id: uuid.UUID | None = None) -> Tweet:
    return Tweet(tweet_id or IDS.next(), author, b"body")


async def insert(store: TweetStore, *tweets: Tweet) -> None:
    await asyncio.gather(*(store.insert(one, tweet_created(one)) for one in tweets))


async def delete(store: TweetStore, *tweets: Tweet) -> None:
    for one in tweets:
        deleted_us = deletion_us(one.tweet_id, CLOCK.now_us())
        await store.delete(one, deleted_us, tweet_deleted(one, deleted_us))


async def listed(store: TweetStore, author: uuid.UUID, limit: int = 1000) -> list[uuid.UUID]:
    return await store.list_by_author(author, NEWEST, OLDEST, limit)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what time alone brings; the bound only ends a test that fails."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - nobody tells when a row expires
            await asyncio.sleep(0.05)


async def until_purged(store: TweetStore, one: Tweet) -> None:
    """Wait until a deleted tweet has lost its text; before and after it is marked as deleted."""

    async def purged() -> bool:
        found = await store.get(one.tweet_id)
        assert found is not None
        assert found == replace(one, deleted=True, body=found.body)
        return not found.body

    await until(purged)


async def test_a_free_key_is_given_to_who_asks(store: TweetStore) -> None:
    wanted = claim()
    assert await store.claim(IDS.next(), "k", wanted, KEPT_S) == wanted


async def test_a_taken_key_gives_the_earlier_claim(store: TweetStore) -> None:
    user, first = IDS.next(), claim()
    await store.claim(user, "k", first, KEPT_S)
    assert await store.claim(user, "k", claim(b"x" * 32), KEPT_S) == first
    assert await store.claim(user, "k", first, KEPT_S) == first


async def test_a_claim_without_mentions_is_a_claim(store: TweetStore) -> None:
    user, first = IDS.next(), Claim(b"h" * 32, IDS.next(), b"")
    await store.claim(user, "k", first, KEPT_S)
    assert await store.claim(user, "k", claim(), KEPT_S) == first


async def test_of_parallel_claims_one_wins_and_all_get_it_p37(store: TweetStore) -> None:
    """P37."""
    user, wanted = IDS.next(), [claim() for _ in range(20)]
    got = await asyncio.gather(*(store.claim(user, "k", one, KEPT_S) for one in wanted))
    assert len(set(got)) == 1
    assert got[0] in wanted


async def test_keys_of_different_users_and_different_keys_are_different(store: TweetStore) -> None:
    user, other = IDS.next(), IDS.next()
    wanted = [claim() for _ in range(3)]
    assert await store.claim(user, "k", wanted[0], KEPT_S) == wanted[0]
    assert await store.claim(other, "k", wanted[1], KEPT_S) == wanted[1]
    assert await store.claim(user, "K", wanted[2], KEPT_S) == wanted[2]


async def test_a_key_is_free_again_after_its_time_and_never_with_0(store: TweetStore) -> None:
    user, first, second = IDS.next(), claim(), claim()
    await store.claim(user, "short", first, 1)
    await store.claim(user, "ever", first, 0)

    async def free_again() -> bool:
        return await store.claim(user, "short", second, 1) == second

    await until(free_again)
    assert await store.claim(user, "ever", second, 0) == first


async def test_an_inserted_tweet_is_there_and_listed_at_once(store: TweetStore) -> None:
    one = tweet(IDS.next())
    await insert(store, one)
    assert await store.get(one.tweet_id) == one
    assert await listed(store, one.author_id) == [one.tweet_id]


async def test_inserting_again_is_inserting_once(subject: Subject) -> None:
    one = tweet(IDS.next())
    for _ in range(3):
        await insert(subject.store, one)
    assert await subject.store.get(one.tweet_id) == one
    assert await listed(subject.store, one.author_id) == [one.tweet_id]


async def test_an_insert_and_a_deletion_carry_their_announcements(subject: Subject) -> None:
    """The rows are there before anybody publishes, and gone once they are published."""
    one = tweet(IDS.next())
    before, _ = await subject.outbox.backlog()
    await insert(subject.store, one)
    assert (await subject.outbox.backlog())[0] == before + 1
    await delete(subject.store, one)
    assert (await subject.outbox.backlog())[0] == before + 2
    await subject.outbox.publish_soon(tweet_created(one), tweet_deleted(one, 1))

    async def deleted() -> bool:
        return (await subject.outbox.backlog())[0] == before

    await until(deleted)
    assert [type(event) for event in subject.bus.published] == [TweetCreated, TweetDeleted]


async def test_a_deleted_tweet_is_marked_and_not_listed(store: TweetStore) -> None:
    author = IDS.next()
    one, two = tweet(author), tweet(author)
    await insert(store, one, two)
    await delete(store, one)
    found = await store.get(one.tweet_id)
    assert found is not None
    assert (found.deleted, found.author_id) == (True, author)
    assert await listed(store, author) == [two.tweet_id]


async def test_deleting_again_is_deleting_once(store: TweetStore) -> None:
    one = tweet(IDS.next())
    await insert(store, one)
    await delete(store, one, one)
    assert (await store.get_many([one.tweet_id]))[0].deleted
    assert await listed(store, one.author_id) == []


async def test_a_repeated_insert_after_the_deletion_changes_nothing(store: TweetStore) -> None:
    one = tweet(IDS.next())
    await insert(store, one)
    await delete(store, one)
    await insert(store, one)
    found = await store.get(one.tweet_id)
    assert found is not None
    assert found.deleted
    assert await listed(store, one.author_id) == []


async def test_a_deletion_wins_over_a_creation_by_a_faster_clock(store: TweetStore) -> None:
    """The tweet's process was ten seconds ahead of the one that deletes; also its text goes."""
    one = tweet(IDS.next(), uuid7_of(CLOCK.now_ms() + 10_000, IDS.next().int))
    await insert(store, one)
    await delete(store, one)
    await insert(store, one)
    assert await listed(store, one.author_id) == []
    await until_purged(store, one)


async def test_the_body_of_a_deleted_tweet_is_purged_and_the_rest_stays(store: TweetStore) -> None:
    """Also a late repetition of the insert does not bring the text back."""
    one = tweet(IDS.next())
    await insert(store, one)
    await delete(store, one)
    await until_purged(store, one)
    await insert(store, one)
    assert await store.get(one.tweet_id) == replace(one, deleted=True, body=b"")


async def test_an_unknown_id_is_none(store: TweetStore) -> None:
    assert await store.get(IDS.next()) is None


async def test_many_ids_give_the_known_tweets(store: TweetStore) -> None:
    tweets = [tweet(IDS.next()) for _ in range(50)]
    await insert(store, *tweets)
    found = await store.get_many({one.tweet_id for one in tweets} | {IDS.next()})
    assert {one.tweet_id: one for one in found} == {one.tweet_id: one for one in tweets}
    assert await store.get_many([]) == []


async def test_a_list_is_newest_first_between_its_bounds_and_no_longer_than_asked(store: TweetStore) -> None:
    """The tweets lie in months 0, 1 and 5; both bounds are exclusive."""
    author, now = IDS.next(), CLOCK.now_ms()
    ids = [uuid7_of(now - month * MONTH_MS - n, IDS.next().int) for month in (0, 1, 5) for n in range(3)]
    await insert(store, *(tweet(author, one) for one in ids))
    assert await listed(store, author) == ids
    for limit in range(1, 10):
        assert await listed(store, author, limit) == ids[:limit]
    for top in range(9):
        assert await store.list_by_author(author, ids[top], ids[8], 4) == ids[top + 1 : min(top + 5, 8)]


async def test_deleted_tweets_leave_no_hole_in_a_page(store: TweetStore) -> None:
    """P31. More of them than are read at once; what is read last before more must be read is not one of them."""
    author = IDS.next()
    tweets = [tweet(author) for _ in range(130)]
    await insert(store, *tweets)
    kept = tweets[:5] + tweets[30:31]
    await delete(store, *(one for one in tweets if one not in kept))
    assert await listed(store, author, 3) == [one.tweet_id for one in kept[:2:-1]]


async def test_deleted_tweets_are_listed_as_such_for_who_asks_for_all(store: TweetStore) -> None:
    author = IDS.next()
    tweets = [tweet(author) for _ in range(3)]
    await insert(store, *tweets)
    await delete(store, tweets[1])
    expected = [(one.tweet_id, one is tweets[1]) for one in reversed(tweets)]
    assert await store.list_all_by_author(author, NEWEST, OLDEST, 10) == expected
    assert await store.list_all_by_author(author, tweets[2].tweet_id, tweets[0].tweet_id, 10) == expected[1:2]
    assert await store.list_all_by_author(author, NEWEST, OLDEST, 2) == expected[:2]


async def test_an_unknown_author_is_an_empty_list(store: TweetStore) -> None:
    assert await listed(store, IDS.next()) == []
