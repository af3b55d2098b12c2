"""What an rpc of svc_graph may use; server.py and tests build it."""

from dataclasses import dataclass

from cursors import Cursors
from outbox import Announcer
from readers.recent import ManyOwnWrites
from runtime.faults import Faults
from runtime.ids import Clock
from signals.publisher import Publisher
from svc_graph.accounts import KnownAccounts
from svc_graph.activity import Activity
from svc_graph.days import ReaderDays
from svc_graph.limits import FollowLimits, StanceLimits
from svc_graph.store import GraphStore
from svc_graph.turns import Turns


@dataclass(frozen=True, slots=True)
class Readers:
    """What is known of readers, and what tells who of them reads again."""

    days: ReaderDays
    activity: Activity
    returns: Publisher


@dataclass(frozen=True, slots=True)
class Deps:
    """The ports of svc_graph."""

    store: GraphStore
    outbox: Announcer
    recent: ManyOwnWrites
    signals: Publisher
    accounts: KnownAccounts
    limits: FollowLimits
    stance_limits: StanceLimits
    turns: Turns
    cursors: Cursors
    readers: Readers
    clock: Clock
    faults: Faults
