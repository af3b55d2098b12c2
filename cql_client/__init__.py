"""CQL for stores: one session per process, awaited on the event loop. Tables belong to the services; only `schema_versions` is ours."""

from cql_client.acknowledged import until_acknowledged
from cql_client.session import Cql
from cql_client.statements import Applied, Consistency, OutcomeUnknown, Statement

__all__ = ["Applied", "Consistency", "Cql", "OutcomeUnknown", "Statement", "until_acknowledged"]
