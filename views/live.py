"""The view plane for one tweet that many wait for: loaded once, judged for each viewer by the rules of the home. Sends nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from aviary.view.v1 import view_pb2

from views.deps import Deps
from views.feeds import AUTHOR_RULES, HOME_RULES
from views.hydrate import hydrate_named, hydrate_tweets
from views.items import Item, State
from views.present import feed_view, frame_tweet
from views.rules import visible


@dataclass(frozen=True, slots=True)
class LiveTweet:
    """A tweet that exists, as it is shown to whoever may see it."""

    item: Item
    view: view_pb2.Tweet
    state: State


class Known(NamedTuple):
    """Viewers of whom it is known that they are meant, and those of whom it has to be asked."""

    meant: list[bytes]
    ask: list[bytes]


async def load_live(item: Item, deps: Deps) -> LiveTweet | None:
    """The tweet, or None when nobody may see it: it is deleted or does not exist."""
    # Counts and flags as nobody sees them: what a reader did with it, as_seen_by asks.
    state = replace(await hydrate_tweets(b"", [item], deps), viewer=item.author_id)
    shown = visible([item], state, HOME_RULES)
    if not shown:
        return None
    return LiveTweet(item, frame_tweet(feed_view(shown, state)[0]), state)


async def as_seen_by(tweet: LiveTweet, viewer: bytes, deps: Deps) -> view_pb2.Tweet:
    """The tweet with what the viewer did with it, and counts as of now."""
    engagements = await deps.engagement.tweets(viewer, [tweet.item.tweet_id])
    return frame_tweet(feed_view([tweet.item], replace(tweet.state, engaged=engagements.of))[0])


async def visible_now(tweet_ids: list[bytes], deps: Deps) -> list[bytes]:
    """Those of the tweets that anybody may see: asked for by id, as REST would show them. Raises AioRpcError."""
    items, state = await hydrate_named(b"", tweet_ids, deps)
    return [item.tweet_id for item in visible(items, state, AUTHOR_RULES)]


async def may_see(tweet: LiveTweet, viewer: bytes, deps: Deps) -> bool:
    """Whether the viewer's home shows the tweet now.

    A snapshot that hides the tweet may only be older than the follow because of which it was delivered, so that it hides
    nothing before a fresh one agrees.
    """
    known = deps.follows.cached(viewer)
    if known is not None and _shown(tweet, viewer, known.followees, deps):
        return True
    if tweet.item.author_id == viewer or deps.statuses.is_deleted(tweet.item.tweet_id):
        return _shown(tweet, viewer, frozenset(), deps)
    fresh = await deps.follows.get(viewer, fresh=True)
    return _shown(tweet, viewer, fresh.followees, deps)


def shown_to(tweet: LiveTweet, viewers: Iterable[bytes], deps: Deps) -> Known:
    """Whose homes show the tweet now, as far as it is known here; all others must be asked about with `may_see`.

    Nothing is awaited: who sends in the same step sends nothing whose deletion was heard.
    """
    # Whatever does not depend on the viewer is judged once, with the author's eyes.
    if not _shown(tweet, tweet.item.author_id, frozenset(), deps):
        return Known([], [])
    standing = {viewer: _sees(viewer, tweet.item.author_id, deps) for viewer in viewers}
    return Known([v for v, sees in standing.items() if sees], [v for v, sees in standing.items() if not sees])


def concerned(author: bytes, viewers: Iterable[bytes], deps: Deps) -> Known:
    """Whose homes could have shown a tweet of the author, as far as it is known here; the rest with `is_concerned`."""
    standing = {viewer: _sees(viewer, author, deps) for viewer in viewers}
    return Known([v for v, sees in standing.items() if sees], [v for v, sees in standing.items() if sees is None])


async def is_concerned(author: bytes, viewer: bytes, deps: Deps) -> bool:
    """Whether the viewer's home could have shown a tweet of the author."""
    return viewer == author or author in (await deps.follows.get(viewer)).followees


def _sees(viewer: bytes, author: bytes, deps: Deps) -> bool | None:
    """Whether the viewer follows the author, or is; None when no snapshot tells."""
    if viewer == author:
        return True
    known = deps.follows.cached(viewer)
    return None if known is None else author in known.followees


def _shown(tweet: LiveTweet, viewer: bytes, follows: frozenset[bytes], deps: Deps) -> bool:
    deleted = deps.statuses.deleted_of([tweet.item.tweet_id])
    return bool(
        visible([tweet.item], replace(tweet.state, viewer=viewer, follows=follows, deleted=deleted), HOME_RULES)
    )
