"""What an rpc of svc_tweet may use; server.py and tests build it."""

from dataclasses import dataclass

from aviary.user.v1.user_pb2_grpc import UserServiceAsyncStub

from outbox import Announcer
from readers.recent import OwnWrites
from runtime.faults import Faults
from runtime.ids import Clock, Ids
from signals.publisher import Publisher
from svc_tweet.store import TweetStore


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of svc_tweet."""

    store: TweetStore
    outbox: Announcer
    user: UserServiceAsyncStub
    recent: OwnWrites
    signals: Publisher
    clock: Clock
    ids: Ids
    faults: Faults
