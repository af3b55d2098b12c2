"""Accounts, follows and tweets for benchmarks, made through the contracts as anybody's are."""

import uuid
from dataclasses import dataclass, replace

import httpx

from bench.stage import Stage
from ops.seed import dataset
from ops.seed.dataset import Dataset
from ops.seed.importer import import_accounts, import_follows, import_tweets
from runtime.ids import SystemClock, Uuid7Ids

_FOLLOWS_A_CALL = 500


@dataclass(frozen=True)
class Member:
    """Somebody who is signed in."""

    user_id: bytes
    token: str


class Silent:
    """A progress that says nothing."""

    def start(self, what: str, total: int) -> None:
        """A step begins."""

    def advance(self, count: int) -> None:
        """So many more are done."""


async def register(client: httpx.AsyncClient, count: int) -> list[Member]:
    """New accounts with access tokens, which live for a quarter of an hour unless the stack is told otherwise."""
    members = []
    for _ in range(count):
        name = f"b{uuid.uuid4().hex[:12]}"
        body = {"username": name, "email": f"{name}@aviary.example", "password": f"pass-{name}"}
        answer = (await client.post("/api/v1/auth/register", json=body)).raise_for_status().json()
        members.append(Member(uuid.UUID(answer["user"]["user_id"]).bytes, answer["access_token"]))
    return members


async def follow(stage: Stage, followers: list[bytes], followees: list[bytes]) -> None:
    """Everybody of the first follows everybody of the second; returns when backfill is over."""
    await import_follows(stage.mesh, [(a, b) for a in followers for b in followees], Silent())
    await stage.settle()


async def followers_of(stage: Stage, followee: bytes, count: int) -> list[bytes]:
    """Ids of new followers without accounts: deliveries look at nothing but ids."""
    ids = Uuid7Ids(SystemClock())
    followers = [ids.next().bytes for _ in range(count)]
    await follow(stage, followers, [followee])
    return followers


def excerpt(authors: int, tweets_each: int) -> Dataset:
    """The newest tweets of the first authors of the data set who have enough, in time order."""
    whole = dataset.load(everything=False)
    by_author: dict[str, list[dataset.SourceTweet]] = {}
    for tweet in whole.tweets:
        by_author.setdefault(tweet.author, []).append(tweet)
    chosen = sorted(name for name, tweets in by_author.items() if len(tweets) >= tweets_each)[:authors]
    kept = {tweet for name in chosen for tweet in by_author[name][-tweets_each:]}
    accounts = [account for account in whole.accounts if account.username in set(chosen)]
    return replace(whole, accounts=accounts, tweets=[tweet for tweet in whole.tweets if tweet in kept])


async def fill_homes(stage: Stage, readers: list[Member]) -> None:
    """Let readers follow real authors and these post, so that every home holds real tweets."""
    data = excerpt(stage.sizes.authors, stage.sizes.tweets_each)
    ids = await import_accounts(stage.mesh, data.accounts, Silent())
    await follow(stage, [reader.user_id for reader in readers], list(ids.values()))
    await import_tweets(stage.mesh, data.tweets, ids, Silent())
    await stage.settle()
