"""svc_tweet as a real process: one tweet whatever is retried, nothing lost whatever is killed, deletions known before the answer."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aviary.mesh.v1.mesh_pb2 import GetBacklogRequest
from aviary.tweet.v1.events_pb2 import TweetStatusSignal
from aviary.tweet.v1.tweet_pb2 import TweetBody
from grpc import aio

from cql_client import Cql
from readers.recent import OWN_TWEET, Own, RecentWrites
from redis_client import connect_redis
from runtime.config import MeshConfig
from runtime.errors import from_rpc
from svc_tweet.domain.tweets import PURGE_AFTER_S, born_us
from svc_tweet.store import SCHEMA
from tests.integration.tweet_process import IDS, TweetProcess, hearing, until, user_service
from tests.unit.svc_tweet.world import FewNames, few_names


@pytest.fixture(scope="module")
def names() -> FewNames:
    return few_names()


@pytest_asyncio.fixture(scope="module")
async def tweets(
    mesh_env: dict[str, str], mesh_config: MeshConfig, names: FewNames, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TweetProcess]:
    folder: Path = tmp_path_factory.mktemp("svc_tweet")
    async with user_service(mesh_env, names) as user_port, hearing(mesh_config) as heard:
        process = TweetProcess(mesh_env, folder, user_port, heard)
        await process.start()
        yield process
        await process.stop()
        await process.channel.close()


async def announced_once(tweets: TweetProcess, author: uuid.UUID) -> None:
    """Wait until the one tweet of the author is announced and nothing is left in the outbox."""

    async def arrived() -> bool:
        backlog = await tweets.mesh.GetBacklog(GetBacklogRequest())
        return bool(tweets.heard.created_by(author)) and backlog.outbox_rows == 0

    await until(arrived)
    assert tweets.heard.created_by(author) == await tweets.listed(author)


async def test_a_posted_tweet_is_stored_announced_and_readable_by_its_author_p13(
    tweets: TweetProcess, names: FewNames, mesh_config: MeshConfig
) -> None:
    """P13."""
    alice, names.owners["bob"] = IDS.next(), IDS.next()
    answer = await tweets.post(alice, "hi @Bob, see example.com #now")
    assert list(answer.mentions) == [str(names.owners["bob"])]
    assert await tweets.listed(alice) == [answer.tweet_id]
    body = TweetBody.FromString((await tweets.get(answer.tweet_id)).body)
    assert (body.content, body.entities) == (answer.content, answer.entities)
    redis = connect_redis(mesh_config)
    recent = await RecentWrites(redis, mesh_config.namespace).read(alice.bytes)
    await redis.aclose()
    [(kind, value)] = recent
    assert (kind, value[:16]) == (OWN_TWEET, uuid.UUID(answer.tweet_id).bytes)
    await announced_once(tweets, alice)


@pytest.mark.parametrize(
    "content", ["a\tb", "\u202eevil\u202c x", "\ufffd", "a\r\nb\nc", "𝒜", "\uffff x", "e\u0301" * 140]
)
async def test_strange_but_valid_text_comes_back_as_it_is_stored(tweets: TweetProcess, content: str) -> None:
    answer = await tweets.post(IDS.next(), content)
    assert answer.content == content.replace("e\u0301", "é")
    assert TweetBody.FromString((await tweets.get(answer.tweet_id)).body).content == answer.content


async def test_twenty_parallel_calls_with_one_key_make_one_tweet_p37(tweets: TweetProcess) -> None:
    """P37."""
    alice = IDS.next()
    answers = await asyncio.gather(*(tweets.post(alice, "once @bob", key="k") for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert await tweets.listed(alice) == [answers[0].tweet_id]
    await announced_once(tweets, alice)
    with pytest.raises(aio.AioRpcError) as refused:
        await tweets.post(alice, "twice", key="k")
    assert from_rpc(refused.value).reason == "IDEMPOTENCY_KEY_REUSED"


async def test_killed_between_claim_and_batch_the_retry_makes_the_tweet(tweets: TweetProcess) -> None:
    """Nothing of the first call shows before the retry, and the retry has the id that the first call chose."""
    alice = IDS.next()
    tweets.arm("tweet.create.after_claim")
    with pytest.raises(aio.AioRpcError):
        await tweets.post(alice, "hello", key="k")
    await tweets.died()
    chosen_before = IDS.next()
    await tweets.start()
    assert await tweets.listed(alice) == []
    answer = await tweets.post(alice, "hello", key="k")
    assert uuid.UUID(answer.tweet_id) < chosen_before
    assert await tweets.post(alice, "hello", key="k") == answer
    assert await tweets.listed(alice) == [answer.tweet_id]
    await announced_once(tweets, alice)


async def test_killed_between_batch_and_publish_the_relay_announces_the_tweet(tweets: TweetProcess) -> None:
    """Without any retry; a retry afterwards finds the tweet and announces nothing."""
    alice = IDS.next()
    tweets.arm("tweet.create.after_batch")
    with pytest.raises(aio.AioRpcError):
        await tweets.post(alice, "hello", key="k")
    await tweets.died()
    assert not tweets.heard.created_by(alice)
    await tweets.start()
    await announced_once(tweets, alice)
    answer = await tweets.post(alice, "hello", key="k")
    assert tweets.heard.created_by(alice) == [answer.tweet_id]


async def test_a_retry_writes_identical_cells(tweets: TweetProcess, mesh_config: MeshConfig) -> None:
    """Every cell of a creation has the tweet's own time; a deletion writes later ones and lets the text expire."""
    alice = IDS.next()
    tweet_id = uuid.UUID((await tweets.post(alice, "hello")).tweet_id)
    cql = await Cql.connect(dataclasses.replace(mesh_config, area="tweet"), SCHEMA)
    times = cql.prepare("SELECT WRITETIME(author_id), WRITETIME(body), TTL(body) FROM tweets WHERE tweet_id = ?")
    assert await cql.execute(times, (tweet_id,)) == [(born_us(tweet_id), born_us(tweet_id), None)]
    await tweets.delete(alice, str(tweet_id))
    ((author_us, body_us, ttl_s),) = await cql.execute(times, (tweet_id,))
    await cql.close()
    assert author_us == born_us(tweet_id) < body_us
    assert 0 < ttl_s <= PURGE_AFTER_S


async def test_created_deleted_and_created_again_stays_deleted(tweets: TweetProcess, mesh_config: MeshConfig) -> None:
    alice = IDS.next()
    answer = await tweets.post(alice, "regret", key="k")
    await tweets.delete(alice, answer.tweet_id)
    assert await tweets.post(alice, "regret", key="k") == answer
    stored = await tweets.get(answer.tweet_id)
    assert (stored.deleted, stored.body) == (True, b"")
    assert await tweets.listed(alice) == []
    redis = connect_redis(mesh_config)
    recent = await RecentWrites(redis, mesh_config.namespace).read(alice.bytes)
    await redis.aclose()
    assert uuid.UUID(answer.tweet_id).bytes in Own.of(recent).deleted


async def test_killed_after_the_batch_of_a_deletion_it_is_deleted_and_the_relay_announces_it(
    tweets: TweetProcess,
) -> None:
    alice = IDS.next()
    answer = await tweets.post(alice, "regret")
    tweets.arm("tweet.delete.after_batch")
    with pytest.raises(aio.AioRpcError):
        await tweets.delete(alice, answer.tweet_id)
    await tweets.died()
    await tweets.start()
    assert (await tweets.get(answer.tweet_id)).deleted

    async def announced() -> bool:
        return tweets.heard.deleted_by(alice) == [answer.tweet_id]

    await until(announced)
    await tweets.delete(alice, answer.tweet_id)
    assert tweets.heard.deleted_by(alice) == [answer.tweet_id]


async def test_caches_hear_of_a_deletion_and_then_heartbeats_and_a_goodbye(tweets: TweetProcess) -> None:
    alice = IDS.next()
    answer = await tweets.post(alice, "regret")
    await tweets.delete(alice, answer.tweet_id)
    tweet_id = uuid.UUID(answer.tweet_id).bytes

    def last() -> TweetStatusSignal:
        return tweets.heard.signals[-1]

    async def told() -> bool:
        return any(change.tweet_id == tweet_id for signal in tweets.heard.signals for change in signal.changes)

    async def beats() -> bool:
        return not last().changes

    async def gone() -> bool:
        return last().goodbye

    await until(told)
    publisher, sequence = last().publisher_id, last().sequence
    await until(beats)
    assert (last().publisher_id, last().sequence) == (publisher, sequence)
    await tweets.stop()
    await until(gone)
    await tweets.start()

    async def another() -> bool:
        return last().publisher_id != publisher

    await until(another)
