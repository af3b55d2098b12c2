"""Events, jobs and signals between processes: the port and its implementation over NATS. What is announced, the services' events.py say."""

from runtime.bus.consumers import Consumers
from runtime.bus.envelope import Envelope, envelope_of
from runtime.bus.nats import NatsBus
from runtime.bus.port import Bus, ConsumerState, Consumption, Poison, Stop, consumes

__all__ = [
    "Bus",
    "ConsumerState",
    "Consumers",
    "Consumption",
    "Envelope",
    "NatsBus",
    "Poison",
    "Stop",
    "consumes",
    "envelope_of",
]
