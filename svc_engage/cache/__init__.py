"""What svc_engage remembers for fast reads: the port and what goes over it. Implementations are redis.py and memory.py."""

from svc_engage.cache.port import CountCache, Glance, Interactions, Marks

__all__ = ["CountCache", "Glance", "Interactions", "Marks"]
