"""The view plane for one tweet that many wait for: loaded once, judged for each viewer by the rules of the home. Sends nothing."""

import asyncio
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from aviary.view.v1 import view_pb2

from relations.snapshot import EVERYTHING, Sight
from views.deps import Deps
from views.hydrate import hydrate_named, hydrate_tweets
from views.items import Item, State
from views.present import feed_view, frame_tweet
from views.rules import HOME_RULES, NAMED_RULES, visible


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


async def visible_now(tweet_ids: list[bytes], deps: Deps) -> dict[bytes, bytes]:
    """Those of the tweets that anybody may see, and their authors: asked for by id, as REST would show them. Raises AioRpcError."""
    items, state = await hydrate_named(b"", tweet_ids, deps)
    return {item.tweet_id: item.author_id for item in visible(items, state, NAMED_RULES)}


async def still_in_home(viewer: bytes, tweet_ids: list[bytes], deps: Deps) -> set[bytes]:
    """Those of the tweets, which the viewer's home showed a while ago, that it shows now. Raises AioRpcError."""
    items, state = await hydrate_named(viewer, tweet_ids, deps)
    return {item.tweet_id for item in visible(items, state, HOME_RULES)}


async def may_see(tweet: LiveTweet, viewer: bytes, deps: Deps) -> bool:
    """Whether the viewer's home shows the tweet now.

    A snapshot that hides the tweet may only be older than the follow because of which it was delivered, so that it hides
    nothing before a fresh one agrees.
    """
    known = deps.relations.sight(viewer)
    if known is not None and _shown(tweet, viewer, known, deps):
        return True
    author = tweet.item.author_id
    if author == viewer or not _shown(tweet, author, EVERYTHING, deps):
        return _shown(tweet, viewer, EVERYTHING, deps)
    return _shown(tweet, viewer, await deps.relations.ask_sight(viewer, fresh=True), deps)


def shown_to(tweet: LiveTweet, viewers: Iterable[bytes], deps: Deps) -> Known:
    """Whose homes show the tweet now, as far as it is known here; all others must be asked about with `may_see`.

    Nothing is awaited: who sends in the same step sends nothing that was heard to be hidden.
    """
    # Whatever does not depend on the viewer is judged once, with the author's eyes.
    if not _shown(tweet, tweet.item.author_id, EVERYTHING, deps):
        return Known([], [])
    standing = {viewer: _sees(viewer, tweet.item.author_id, deps) for viewer in viewers}
    return Known([v for v, sees in standing.items() if sees], [v for v, sees in standing.items() if not sees])


def concerned(author: bytes, viewers: Iterable[bytes], deps: Deps) -> Known:
    """Whose homes could have shown a tweet of the author, as far as it is known here; the rest with `is_concerned`."""
    standing = {viewer: _sees(viewer, author, deps) for viewer in viewers}
    return Known([v for v, sees in standing.items() if sees], [v for v, sees in standing.items() if sees is None])


async def is_concerned(author: bytes, viewer: bytes, deps: Deps) -> bool:
    """Whether the viewer's home could have shown a tweet of the author."""
    return viewer == author or _follows(await deps.relations.ask_sight(viewer), author)


async def apart(viewers: Collection[bytes], authors: Collection[bytes], deps: Deps) -> dict[bytes, Set[bytes]]:
    """For each of the viewers, between whom of the authors and the viewer a block stands. Raises AioRpcError."""
    sights = {viewer: deps.relations.sight(viewer, authors) for viewer in viewers}
    unknown = [viewer for viewer, sight in sights.items() if sight is None]
    asked = await asyncio.gather(*(deps.relations.ask_sight(viewer, authors) for viewer in unknown))
    sights.update(zip(unknown, asked, strict=True))
    return {viewer: sight.apart for viewer, sight in sights.items() if sight is not None and sight.apart}


def _sees(viewer: bytes, author: bytes, deps: Deps) -> bool | None:
    """Whether the author's tweets are in the viewer's home; None when no snapshot tells."""
    if viewer == author:
        return True
    known = deps.relations.sight(viewer)
    return None if known is None else _follows(known, author)


def _follows(sight: Sight, author: bytes) -> bool:
    return author in sight.follows and author not in sight.muted and author not in sight.apart


def _shown(tweet: LiveTweet, viewer: bytes, sight: Sight, deps: Deps) -> bool:
    deleted = deps.statuses.deleted_of([tweet.item.tweet_id])
    state = replace(tweet.state, viewer=viewer, sight=sight, deleted=deleted)
    return bool(visible([tweet.item], state, HOME_RULES))
