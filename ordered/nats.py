"""Ordered work over NATS: leases and readers of one process. In memory it is simulation/ordered.py."""

import uuid

from ordered.lag import Lag
from ordered.leases import TTL_S, Leases
from ordered.partitions import Partitions
from ordered.port import Hand, Ordered, Ownership
from runtime.bus import NatsBus
from runtime.bus.port import Subscription
from runtime.contract import event


class NatsSource:
    """Keeps the promises of `Source` over the connection of a bus."""

    def __init__(self, bus: NatsBus, ttl_s: float = TTL_S) -> None:
        """Within `ttl_s` the partitions of a dead process are others'."""
        self._bus = bus
        self._ttl_s = ttl_s

    def partitions(self, work: Ordered, hand: Hand) -> Ownership:
        """See Source."""
        contracts = [event(message) for message in work.messages]
        streams = {self._bus.streams.name(contract) for contract in contracts}
        if len(streams) != 1:
            raise ValueError(f"{work.durable} wants order between the streams {sorted(streams)}: there is none")
        namespace, me = self._bus.streams.namespace, f"{self._bus.producer}-{uuid.uuid4().hex[:12]}"
        leases = Leases(self._bus.streams, work.durable, me, self._ttl_s)
        subjects = f"{namespace}.{contracts[0].family}.v1.*.{{}}"
        stream = streams.pop()
        partitions = Partitions(self._bus.streams.js, leases, stream, subjects, work, hand, self._ttl_s)
        self._bus.on_reconnected(partitions.read_anew)
        lag = Lag(self._bus, stream, subjects, work)
        # Whether anybody is at work is said by partition, in the backlog.
        subscription = Subscription(partitions.run, lambda: False, partitions.silent_s, partitions.read_anew)
        return Ownership(subscription, lambda: lag.state(partitions.forgotten))
