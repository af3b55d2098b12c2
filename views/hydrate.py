"""Hydration: one batched load of everything that rules and presentation look at. Decides nothing about what is shown."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

from prometheus_client import Counter

from views.deps import Deps
from views.items import NOBODY_FOLLOWED, Author, CachedTweet, Item, Query, Scan, State

DANGLING = Counter("aviary_view_dangling_total", "Entries of lists without a tweet or an author.", ["reason"])


async def hydrate_feed(query: Query, scan: Scan, deps: Deps) -> State:
    """Tweets and authors of a stretch of a home, with the viewer's follows as of all that the viewer did so far."""
    recent = scan.recent
    ids = [i.tweet_id for i in scan.items]
    authors = {i.author_id for i in scan.items}
    own = {i.tweet_id for i in scan.items if i.author_id == query.viewer} if recent.unknown else ()
    deps.statuses.remember(recent.deleted_ids)
    tweets = deps.tweets.cached(ids, own)
    users = deps.authors.cached(authors)
    follows = None if recent.unknown else deps.follows.cached(query.viewer, recent.graph_version)
    if tweets is not None and users is not None and follows is not None:
        engagements = await deps.engagement.tweets(query.viewer, ids)
    else:
        async with asyncio.TaskGroup() as group:
            counting = group.create_task(deps.engagement.tweets(query.viewer, ids))
            loading_tweets = group.create_task(deps.tweets.get(ids, own))
            loading_users = group.create_task(deps.authors.get(authors))
            loading_follows = group.create_task(
                deps.follows.get(query.viewer, recent.graph_version, fresh=recent.unknown)
            )
        tweets, users, follows = loading_tweets.result(), loading_users.result(), loading_follows.result()
        engagements = counting.result()
    count_dangling(scan.items, tweets, users)
    deleted = deps.statuses.deleted_of(ids)
    return State(query.viewer, tweets, users, deleted, follows.followees, engagements.of, engagements.away)


async def hydrate_tweets(viewer: bytes, items: list[Item], deps: Deps, own: Collection[bytes] = ()) -> State:
    """Tweets and authors of items whose follows do not matter: an author's timeline. The statuses of `own` are asked for."""
    ids = [i.tweet_id for i in items]
    authors = {i.author_id for i in items}
    tweets, users = deps.tweets.cached(ids, own), deps.authors.cached(authors)
    if tweets is not None and users is not None:
        engagements = await deps.engagement.tweets(viewer, ids)
    else:
        async with asyncio.TaskGroup() as group:
            counting = group.create_task(deps.engagement.tweets(viewer, ids))
            loading_tweets = group.create_task(deps.tweets.get(ids, own))
            loading_users = group.create_task(deps.authors.get(authors))
        tweets, users, engagements = loading_tweets.result(), loading_users.result(), counting.result()
    count_dangling(items, tweets, users)
    deleted = deps.statuses.deleted_of(ids)
    return State(viewer, tweets, users, deleted, NOBODY_FOLLOWED, engagements.of, engagements.away)


async def hydrate_marked(query: Query, scan: Scan, deps: Deps) -> State:
    """Tweets that somebody marked: of the viewer's own among them the status is asked for, as for any tweet asked for by id."""
    own = {i.tweet_id for i in scan.items if i.author_id == query.viewer}
    return await hydrate_tweets(query.viewer, scan.items, deps, own)


async def hydrate_ids(viewer: bytes, ids: list[bytes], deps: Deps) -> tuple[list[Item], State]:
    """Tweets that were asked for by id, in that order, with their authors, counts and flags. See `hydrate_named`."""
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(deps.engagement.tweets(viewer, ids))
        loading = group.create_task(hydrate_named(viewer, ids, deps))
    (items, state), engagements = loading.result(), counting.result()
    return items, replace(state, engaged=engagements.of, away=engagements.away)


async def hydrate_named(viewer: bytes, ids: list[bytes], deps: Deps) -> tuple[list[Item], State]:
    """Tweets that were asked for by id, in that order, with their authors. Of the viewer's own the status is asked for.

    Who deletes a tweet and looks at it again must not see it, however fast that is; others may for the moment that a signal takes.
    """
    tweets = await deps.tweets.get(ids)
    own = {key for key, tweet in tweets.items() if viewer and tweet.author_id == viewer and not tweet.deleted}
    if own:
        tweets.update(await deps.tweets.get(own, fresh=own))
    items = [Item(key, tweets[key].author_id) for key in ids if key in tweets]
    users = await deps.authors.get({i.author_id for i in items})
    return items, State(viewer, tweets, users, deps.statuses.deleted_of(ids), NOBODY_FOLLOWED)


def count_dangling(items: list[Item], tweets: Mapping[bytes, CachedTweet], users: Mapping[bytes, Author]) -> None:
    """Count what the rules will drop as dangling; a rising figure means that some owner lost something."""
    if len(tweets) < len(items):
        DANGLING.labels("tweet").inc(len(items) - len(tweets))
    lost = sum(1 for i in items if i.author_id not in users)
    if lost:
        DANGLING.labels("author").inc(lost)
