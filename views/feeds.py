"""The lists of tweets that exist, each a skeleton in a pipeline: home, author timeline, likes, bookmarks. How it runs is elsewhere."""

from collections.abc import Iterable, Sequence
from functools import partial

from aviary.engage.v1 import engage_pb2
from aviary.timeline.v1 import timeline_pb2
from aviary.tweet.v1 import tweet_pb2

from runtime.ids import split_ids
from views.deps import Deps
from views.hydrate import hydrate_feed, hydrate_marked, hydrate_tweets
from views.items import Item, Query, Scan, State
from views.pipeline import Pipeline, Skeleton
from views.present import feed_view
from views.recent import Recent
from views.rules import HOME_RULES, LIKED_RULES, NAMED_RULES, Rule


async def home_skeleton(query: Query, deps: Deps) -> Scan:
    """A stretch of the viewer's home, with what the viewer did lately."""
    home = await deps.timeline.GetHome(
        timeline_pb2.GetHomeRequest(
            user_id=query.viewer, max_id=query.max_id, since_id=query.since_id, limit=query.limit
        )
    )
    items = list(map(Item, split_ids(home.tweet_ids), split_ids(home.author_ids)))
    recent = Recent(home.graph_version, home.profile_version, split_ids(home.deleted_ids), home.recent_unknown)
    return Scan(items, home.has_more, recent)


async def author_skeleton(query: Query, deps: Deps) -> Scan:
    """A stretch of one author's timeline."""
    listed = await deps.tweet.ListAuthorTweets(
        tweet_pb2.ListAuthorTweetsRequest(
            author_id=query.subject, max_id=query.max_id, since_id=query.since_id, limit=query.limit
        )
    )
    return Scan([Item(tweet_id, query.subject) for tweet_id in split_ids(listed.tweet_ids)], listed.has_more)


async def likes_skeleton(query: Query, deps: Deps) -> Scan:
    """A stretch of what an account likes."""
    listed = await deps.engage.ListLikes(
        engage_pb2.ListLikesRequest(user_id=query.subject, cursor=query.cursor, limit=query.limit)
    )
    return _marked(listed.tweets, listed.has_more)


async def bookmarks_skeleton(query: Query, deps: Deps) -> Scan:
    """A stretch of an account's bookmarks."""
    listed = await deps.engage.ListBookmarkedTweets(
        engage_pb2.ListBookmarkedTweetsRequest(user_id=query.subject, cursor=query.cursor, limit=query.limit)
    )
    return _marked(listed.tweets, listed.has_more)


def _marked(tweets: Iterable[engage_pb2.MarkedTweet], has_more: bool) -> Scan:
    return Scan([Item(t.tweet_id, t.author_id, t.cursor) for t in tweets], has_more)


def home(deps: Deps) -> Pipeline:
    """What the viewer follows, newest first."""
    return Pipeline(
        skeleton=partial(home_skeleton, deps=deps),
        hydrate=partial(hydrate_feed, deps=deps),
        rules=HOME_RULES,
        present=feed_view,
    )


def author_timeline(deps: Deps) -> Pipeline:
    """The tweets of `subject`, newest first."""

    async def hydrate(query: Query, scan: Scan) -> State:
        return await hydrate_tweets(query.viewer, scan.items, deps)

    return Pipeline(skeleton=partial(author_skeleton, deps=deps), hydrate=hydrate, rules=NAMED_RULES, present=feed_view)


def likes(deps: Deps) -> Pipeline:
    """What `subject` likes, latest like first."""
    return _marks(partial(likes_skeleton, deps=deps), LIKED_RULES, deps)


def bookmarks(deps: Deps) -> Pipeline:
    """What `subject` bookmarked, latest bookmark first."""
    return _marks(partial(bookmarks_skeleton, deps=deps), NAMED_RULES, deps)


def _marks(skeleton: Skeleton, rules: Sequence[Rule], deps: Deps) -> Pipeline:
    return Pipeline(skeleton=skeleton, hydrate=partial(hydrate_marked, deps=deps), rules=rules, present=feed_view)
