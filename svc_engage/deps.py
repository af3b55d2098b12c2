"""What an rpc or a worker of svc_engage may use; server.py and tests build it."""

from dataclasses import dataclass

from accounts import Accounts
from cursors import Cursors
from readers.recent import OwnWrites
from relations.viewers import Relations
from runtime.bus import Bus
from runtime.faults import Faults
from runtime.ids import Clock, Ids
from svc_engage.cache import CountCache
from svc_engage.interactions import Engagements
from svc_engage.known_tweets import KnownTweets
from svc_engage.like_rows import LikeRows
from svc_engage.reads import Reads
from svc_engage.store import EngageStore


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of svc_engage."""

    store: EngageStore
    cache: CountCache
    reads: Reads
    rows: LikeRows
    engagements: Engagements
    bus: Bus
    tweets: KnownTweets
    relations: Relations
    accounts: Accounts
    recent: OwnWrites
    cursors: Cursors
    clock: Clock
    ids: Ids
    faults: Faults
