"""The transactional outbox: an announcement is written with what it announces, and published whatever dies.

A library on top of the runtime, used by every service that announces facts; its two tables lie in the keyspace of each.
"""

from outbox.outbox import Announcer, CqlOutbox, Outbox
from outbox.relay import Relay
from outbox.table import CqlOutboxTable, OutboxRow, OutboxTable

__all__ = ["Announcer", "CqlOutbox", "CqlOutboxTable", "Outbox", "OutboxRow", "OutboxTable", "Relay"]
