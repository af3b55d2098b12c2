"""What the functions of the view plane may use; how it is made stands in build.py."""

from dataclasses import dataclass

from aviary.engage.v1.engage_pb2_grpc import EngageServiceAsyncStub
from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from aviary.timeline.v1.timeline_pb2_grpc import TimelineServiceAsyncStub
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub
from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub

from accounts import Accounts
from relations.viewers import Relations
from statuses import Statuses
from views.caches import TweetCache
from views.engagement import Engagement


@dataclass(frozen=True, slots=True)
class Deps:
    """The data services, and the caches in front of them."""

    timeline: TimelineServiceAsyncStub
    tweet: TweetServiceAsyncStub
    user: UserServiceAsyncStub
    graph: GraphServiceAsyncStub
    engage: EngageServiceAsyncStub
    statuses: Statuses
    tweets: TweetCache
    authors: Accounts
    relations: Relations
    engagement: Engagement
