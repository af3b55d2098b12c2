"""Hydration: one batched load of everything that rules and presentation look at. Decides nothing about what is shown."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from prometheus_client import Counter

from accounts import Account
from views.deps import Deps
from views.items import CachedTweet, Item, Query, Scan, State
from views.recent import NOTHING_RECENT, Recent, with_own_writes

DANGLING = Counter("aviary_view_dangling_total", "Entries of lists without a tweet or an author.", ["reason"])


async def hydrate_feed(query: Query, scan: Scan, deps: Deps) -> State:
    """Tweets and authors of a stretch of a home, with how the viewer stands to everybody as of all that the viewer did so far."""
    recent, viewer = scan.recent, query.viewer
    authors = {i.author_id for i in scan.items}
    own = {i.tweet_id for i in scan.items if i.author_id == viewer} if recent.unknown else ()
    renamed = viewer in authors and (recent.unknown or deps.authors.lacks(viewer, recent.profile_version))
    deps.statuses.remember(recent.deleted_ids)
    # Nobody is followed beyond a block, so that there is no need to ask who blocks a viewer whom very many do.
    needs = _Needs(authors, (), own, (viewer,) if renamed else (), recent)
    return await _hydrate(viewer, scan.items, deps, needs)


async def hydrate_tweets(viewer: bytes, items: list[Item], deps: Deps, own: Collection[bytes] = ()) -> State:
    """Tweets and authors of items that were not chosen by whom the viewer follows. The statuses of `own` are asked for.

    So is the viewer's own account, if it is among the authors: who changed it sees that at once.
    """
    authors = {i.author_id for i in items}
    return await _hydrate(viewer, items, deps, _Needs(authors, authors, own, authors & {viewer}))


class _Needs(NamedTuple):
    """What has to be known of a stretch. `apart_from`: of whom it must be certain whether a block stands between.

    `recent`: what the viewer did lately, where the skeleton knows it; else it comes with the counts.
    """

    authors: Collection[bytes]
    apart_from: Collection[bytes]
    fresh_tweets: Collection[bytes] = ()
    fresh_authors: Collection[bytes] = ()
    recent: Recent | None = None


async def _hydrate(viewer: bytes, items: list[Item], deps: Deps, needs: _Needs) -> State:
    authors, apart_from, fresh_tweets, fresh_authors, known = needs
    recent = known or NOTHING_RECENT
    ids = [i.tweet_id for i in items]
    tweets = deps.tweets.cached(ids, fresh_tweets)
    users = deps.authors.cached(authors, fresh_authors)
    sight = None if recent.unknown else deps.relations.sight(viewer, apart_from, recent.graph_version)
    if tweets is not None and users is not None and sight is not None:
        engagements = await deps.engagement.tweets(viewer, ids)
    else:
        async with asyncio.TaskGroup() as group:
            counting = group.create_task(deps.engagement.tweets(viewer, ids))
            loading_tweets = group.create_task(deps.tweets.get(ids, fresh_tweets))
            loading_users = group.create_task(deps.authors.get(authors, fresh_authors))
            looking = group.create_task(
                deps.relations.ask_sight(viewer, apart_from, recent.graph_version, recent.unknown)
            )
        tweets, users, sight = loading_tweets.result(), loading_users.result(), looking.result()
        engagements = counting.result()
    if known is None:
        sight = await with_own_writes(sight, engagements.recent, viewer, apart_from, deps.relations)
    count_dangling(items, tweets, users)
    deleted = deps.statuses.deleted_of(ids)
    return State(viewer, tweets, users, deleted, sight, engagements.of, engagements.away)


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
    sight = await with_own_writes(state.sight, engagements.recent, viewer, {i.author_id for i in items}, deps.relations)
    return items, replace(state, sight=sight, engaged=engagements.of, away=engagements.away)


async def hydrate_named(viewer: bytes, ids: list[bytes], deps: Deps) -> tuple[list[Item], State]:
    """Tweets that were asked for by id, in that order, with their authors. Of the viewer's own, status and account are asked for.

    Who deletes a tweet and looks at it again must not see it, however fast that is; others may for the moment that a signal takes.
    """
    tweets = await deps.tweets.get(ids)
    own = {key for key, tweet in tweets.items() if viewer and tweet.author_id == viewer and not tweet.deleted}
    if own:
        tweets.update(await deps.tweets.get(own, fresh=own))
    items = [Item(key, tweets[key].author_id) for key in ids if key in tweets]
    authors = {i.author_id for i in items}
    renamed = authors & {viewer}
    users, sight = deps.authors.cached(authors, renamed), deps.relations.sight(viewer, authors)
    if users is None or sight is None:
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(deps.authors.get(authors, renamed))
            looking = group.create_task(deps.relations.ask_sight(viewer, authors))
        users, sight = loading.result(), looking.result()
    return items, State(viewer, tweets, users, deps.statuses.deleted_of(ids), sight)


def count_dangling(items: list[Item], tweets: Mapping[bytes, CachedTweet], users: Mapping[bytes, Account]) -> None:
    """Count what the rules will drop as dangling; a rising figure means that some owner lost something."""
    if len(tweets) < len(items):
        DANGLING.labels("tweet").inc(len(items) - len(tweets))
    lost = sum(1 for i in items if i.author_id not in users)
    if lost:
        DANGLING.labels("author").inc(lost)
