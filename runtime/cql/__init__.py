"""CQL for stores: one session per process, awaited on the event loop. Tables belong to the services; only `schema_versions` is ours."""

from runtime.cql.acknowledged import until_acknowledged
from runtime.cql.session import Cql
from runtime.cql.statements import Applied, Consistency, OutcomeUnknown, Statement

__all__ = ["Applied", "Consistency", "Cql", "OutcomeUnknown", "Statement", "until_acknowledged"]
