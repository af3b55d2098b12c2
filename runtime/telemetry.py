"""Logs and metrics: JSON lines with a constant message and fields, Prometheus counters with few-valued labels; no ids in metrics."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from runtime.context import current_trace

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

QUIET = ("cassandra", "nats", "picows", "httpx", "grpc")
# Anybody could fill the log: a warning for each request that is no HTTP, for each batch over several partitions.
QUIETER = ("cassandra.protocol", "uvicorn")

RPCS = Counter("aviary_mesh_rpcs_total", "Calls served.", ["rpc", "reason"])
RPC_SECONDS = Histogram("aviary_mesh_rpc_seconds", "Time of a served call.", ["rpc"], buckets=SECONDS)
EVENTS = Counter("aviary_mesh_events_total", "Events handled.", ["event", "outcome"])
READY = Gauge("aviary_mesh_ready", "1 while every dependency answers.")


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("fanout_done", followers=12)`."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send every log line of the process, libraries included, to standard output as JSON with service and trace."""

    def stamp(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        fields["service"] = service
        if trace := current_trace():
            fields["trace_id"] = trace[3:35]
        return fields

    shared: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso"), stamp]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for library in (*QUIET, *QUIETER):
        logging.getLogger(library).setLevel(logging.ERROR if library in QUIETER else logging.WARNING)
