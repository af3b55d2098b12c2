"""Work that must see facts in order: partitions of a stream, an owner for each by a lease, and a position that its handler stores.

Nothing of the path needs it; counting does. Unordered work is runtime/bus.
"""

from ordered.consumer import OrderedConsumer
from ordered.port import Item, Ordered, Slice

__all__ = ["Item", "Ordered", "OrderedConsumer", "Slice"]
