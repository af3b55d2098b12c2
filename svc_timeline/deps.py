"""What an rpc or a worker of svc_timeline may use; server.py and tests build it."""

from dataclasses import dataclass

from aviary.graph.v1.graph_pb2_grpc import GraphServiceAsyncStub
from aviary.tweet.v1.tweet_pb2_grpc import TweetServiceAsyncStub

from readers.presence import Readers
from runtime.bus import Bus
from runtime.faults import Faults
from runtime.ids import Clock
from svc_timeline.cache import HomeCache
from svc_timeline.config import Limits
from svc_timeline.heads import Heads
from svc_timeline.rebuild import Rebuilds
from svc_timeline.seen import SeenReaders
from svc_timeline.signals import LiveSignals
from svc_timeline.store import HomeStore
from svc_timeline.windows import Windows


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of svc_timeline."""

    store: HomeStore
    windows: Windows
    cache: HomeCache
    rebuilds: Rebuilds
    graph: GraphServiceAsyncStub
    tweet: TweetServiceAsyncStub
    heads: Heads
    bus: Bus
    presence: Readers
    seen: SeenReaders
    live: LiveSignals
    limits: Limits
    clock: Clock
    faults: Faults
