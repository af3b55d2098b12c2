"""Constructor calls that give the view plane from channels, bus and clock; used by the edge process and by tests."""

from collections.abc import Callable
from dataclasses import dataclass

from aviary.engage.v1.engage_pb2_grpc import EngageServiceStub
from aviary.graph.v1.graph_pb2_grpc import GraphServiceStub
from aviary.timeline.v1.timeline_pb2_grpc import TimelineServiceStub
from aviary.tweet.v1 import events_pb2 as tweet_events_pb2
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceStub
from aviary.user.v1.user_pb2_grpc import UserServiceStub
from grpc import aio

import accounts
from accounts import Accounts
from relations import viewers
from relations.viewers import Relations
from runtime.bus import Bus, Stop
from runtime.ids import Clock
from statuses import Statuses
from views.caches import TweetCache
from views.deps import Deps
from views.engagement import Engagement

AUTHORS = 50_000


@dataclass(frozen=True, slots=True)
class Channels:
    """Where the data services are."""

    timeline: aio.Channel
    tweet: aio.Channel
    user: aio.Channel
    graph: aio.Channel
    engage: aio.Channel


def build_deps(channels: Channels, monotonic: Callable[[], float], clock: Clock) -> Deps:
    """The view plane's ports and caches; `ViewServicer(build_deps(...))` serves. `monotonic` counts seconds."""
    tweet, user, graph, engage = (
        TweetServiceStub(channels.tweet),
        UserServiceStub(channels.user),
        GraphServiceStub(channels.graph),
        EngageServiceStub(channels.engage),
    )
    statuses = Statuses(monotonic)
    return Deps(
        timeline=TimelineServiceStub(channels.timeline),
        tweet=tweet,
        user=user,
        graph=graph,
        engage=engage,
        statuses=statuses,
        tweets=TweetCache(tweet, statuses),
        authors=Accounts(user, monotonic, AUTHORS),
        relations=Relations(graph, clock, monotonic),
        engagement=Engagement(engage, monotonic),
    )


async def listen(deps: Deps, bus: Bus) -> Stop:
    """Let the caches hear what changes; without it they are right too, but ask more. Await the result to stop."""
    stops = [
        await bus.listen(tweet_events_pb2.TweetStatusSignal, deps.statuses.heard),
        await bus.listen(tweet_events_pb2.TweetDeleted, deps.statuses.announced),
        await viewers.listen(deps.relations, bus),
        await accounts.listen(deps.authors, bus),
    ]

    async def stop() -> None:
        for each in stops:
            await each()

    return stop
