"""Brings a data set in through the gRPC contract; repeating it at any time, or after a crash, changes nothing that is there."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aviary.graph.v1 import graph_pb2
from aviary.tweet.v1 import tweet_pb2
from aviary.user.v1 import user_pb2

from ops.mesh import Mesh
from ops.seed.checkpoint import Checkpoint, Reached
from ops.seed.dataset import Account, Dataset, SourceTweet
from runtime.context import acting

FOLLOWS_A_CALL = 500
ACCOUNTS_AT_ONCE = 16
TWEETS_A_CHECKPOINT = 50


class Progress(Protocol):
    """Hears how far the import is."""

    def start(self, what: str, total: int) -> None:
        """A step begins."""

    def advance(self, count: int) -> None:
        """So many more are done."""


@dataclass(frozen=True)
class Imported:
    """What an import found or made."""

    accounts: int
    follows_made: int
    tweets: int


async def import_dataset(
    mesh: Mesh, data: Dataset, demo_id: bytes, progress: Progress, checkpoint: Checkpoint
) -> Imported:
    """Accounts first, then follows, then tweets in time order, so that each tweet fans out to its followers.

    Every call may be repeated.
    """
    reached = await still_there(mesh, checkpoint.read())
    if reached is not None and reached.tweets == len(data.tweets):
        return Imported(len(data.accounts), 0, len(data.tweets))
    ids = await import_accounts(mesh, data.accounts, progress)
    pairs = [(ids[a.lower()], ids[b.lower()]) for a, b in data.follows]
    pairs += [(demo_id, ids[name.lower()]) for name in data.demo_follows]
    made = await import_follows(mesh, pairs, progress)
    done = 0 if reached is None else reached.tweets

    def remember(number: int, tweet_id: str) -> None:
        if number % TWEETS_A_CHECKPOINT == 0 or done + number == len(data.tweets):
            checkpoint.write(Reached(done + number, tweet_id))

    await import_tweets(mesh, data.tweets[done:], ids, progress, remember)
    return Imported(len(ids), made, len(data.tweets))


async def import_accounts(mesh: Mesh, accounts: list[Account], progress: Progress) -> dict[str, bytes]:
    """Ids by lower-case username."""
    progress.start("accounts", len(accounts))
    places = asyncio.Semaphore(ACCOUNTS_AT_ONCE)

    async def one(account: Account) -> tuple[str, bytes]:
        request = user_pb2.ImportUserRequest(
            username=account.username, display_name=account.display_name, bio=account.bio, verified=account.verified
        )
        async with places:
            answer = await mesh.users.ImportUser(request)
        progress.advance(1)
        return account.username.lower(), answer.user_id

    return dict(await asyncio.gather(*(one(account) for account in accounts)))


async def import_follows(mesh: Mesh, pairs: list[tuple[bytes, bytes]], progress: Progress) -> int:
    """How many were not there before. Sorted by followee, so that what reacts to them finds neighbours together."""
    progress.start("follows", len(pairs))
    made = 0
    packed = [follower + followee for follower, followee in sorted(pairs, key=lambda pair: (pair[1], pair[0]))]
    for start in range(0, len(packed), FOLLOWS_A_CALL):
        request = graph_pb2.ImportFollowsRequest(pairs=packed[start : start + FOLLOWS_A_CALL])
        answer = await mesh.graph.ImportFollows(request)
        made += answer.created
        progress.advance(len(request.pairs))
    return made


async def import_tweets(
    mesh: Mesh,
    tweets: Sequence[SourceTweet],
    ids: dict[str, bytes],
    progress: Progress,
    remember: Callable[[int, str], None] = lambda *_: None,
) -> None:
    """One after the other, so that the order of ids is the order of the source. `remember` hears how many are in, and the last.

    svc_tweet remembers for ever which tweet it made for a service's key: the source id in the key makes repeating harmless.
    """
    progress.start("tweets", len(tweets))
    for number, tweet in enumerate(tweets, 1):
        request = tweet_pb2.CreateTweetRequest(content=tweet.text, idempotency_key=f"seed:{tweet.source_id}")
        caller = mesh.acting_for(ids[tweet.author.lower()])
        with acting(caller):
            answer = await mesh.tweets.CreateTweet(request)
        remember(number, answer.tweet_id)
        progress.advance(1)


async def still_there(mesh: Mesh, reached: Reached | None) -> Reached | None:
    """The checkpoint, unless the servers do not have its tweet: they were emptied, or are others."""
    if reached is None:
        return None
    request = tweet_pb2.GetTweetsRequest(tweet_ids=[uuid.UUID(reached.tweet_id).bytes])
    found = await mesh.tweets.GetTweets(request)
    return reached if found.tweets else None
