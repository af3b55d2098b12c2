"""The local servers (CQL, Redis, NATS) for one machine. Nothing here knows about tweets or services."""

from stack.cassandra import Settings as CassandraSettings
from stack.errors import StackError
from stack.local import Addresses, LocalStack, ServerPorts

__all__ = ["Addresses", "CassandraSettings", "LocalStack", "ServerPorts", "StackError"]
