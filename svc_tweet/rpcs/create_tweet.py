"""CreateTweet: a tweet with its announcement."""

import uuid
from collections.abc import Sequence

from aviary.tweet.v1.tweet_pb2 import CreateTweetRequest, CreateTweetResponse
from aviary.user.v1.user_pb2 import ResolveUsernamesRequest

from idempotency import digest, ensure_same
from readers.recent import OWN_TWEET, tweet_value
from runtime.context import Caller
from svc_tweet.deps import Deps
from svc_tweet.domain.texts import postable
from svc_tweet.domain.tweets import Claim, Tweet, claim_ttl_s, created_view, new_tweet
from svc_tweet.events import tweet_created


async def create_tweet(request: CreateTweetRequest, caller: Caller, deps: Deps) -> CreateTweetResponse:
    """Store a tweet and its announcement in one batch. Fails with TWEET_TOO_LONG, TWEET_EMPTY, IDEMPOTENCY_KEY_REUSED.

    Whatever can be refused is refused before the claim, and the claim fixes whatever a retry could find otherwise.
    """
    text = postable(request.content)
    author_id = uuid.UUID(bytes=caller.user_id)
    wanted = Claim(digest(request), deps.ids.next(), text.mentioned(await owners(text.names(), deps)))
    claim = await claimed(request.idempotency_key, wanted, caller, deps)
    deps.faults.at("tweet.create.after_claim")
    tweet = new_tweet(claim, author_id, text)
    place = 0
    # Only a retry, or a call beside another with its key, can find the tweet there already; it may be deleted, and stays so.
    if claim.tweet_id == wanted.tweet_id or await deps.store.get(claim.tweet_id) is None:
        place = await announced(tweet, deps)
    deps.faults.at("tweet.create.after_publish")
    await deps.recent.record(author_id.bytes, OWN_TWEET, tweet_value(tweet.tweet_id.bytes, place))
    deps.faults.at("tweet.create.before_answer")
    return created_view(tweet)


async def owners(names: Sequence[str], deps: Deps) -> dict[str, bytes]:
    """Whose the mentioned names are, by the name in lower case; names of nobody are absent."""
    if not names:
        return {}
    answer = await deps.user.ResolveUsernames(ResolveUsernamesRequest(usernames=names))
    return {user.username.lower(): user.user_id for user in answer.users}


async def claimed(key: str, wanted: Claim, caller: Caller, deps: Deps) -> Claim:
    """The claim to go on with: the wanted one, or that of an earlier call with the key. Raises IdempotencyKeyReused."""
    if not key:
        return wanted
    claim = await deps.store.claim(uuid.UUID(bytes=caller.user_id), key, wanted, claim_ttl_s(caller))
    ensure_same(claim.body_hash, wanted.body_hash)
    return claim


async def announced(tweet: Tweet, deps: Deps) -> int:
    """Write the tweet with its announcement and publish that soon, answering its place; the relay publishes what a crash leaves."""
    event = tweet_created(tweet)
    await deps.store.insert(tweet, announce=event)
    deps.faults.at("tweet.create.after_batch")
    [place] = await deps.outbox.publish_soon(event)
    return place
