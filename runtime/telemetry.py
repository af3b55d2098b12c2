"""Logs and metrics: JSON lines with a constant message and fields, Prometheus counters with few-valued labels; no ids in metrics."""

import logging
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from itertools import accumulate
from typing import Any

import structlog
from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.context import current_trace

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

QUIET = ("cassandra", "nats", "picows", "httpx", "grpc", "authlib")
# These could fill the log: a warning for each request that is no HTTP, each batch over several partitions, each vain try to reconnect.
QUIETER = ("cassandra.pool", "cassandra.protocol", "uvicorn")
# These come with a trace for each vain try of the driver, four a second. That a host is away, and the breaker opens, is a line each.
_VAIN = ("[control connection] Error connecting", "Error preparing query")

EVENTS = Counter("aviary_mesh_events_total", "Events handled.", ["event", "outcome"])
READY = Gauge("aviary_mesh_ready", "1 while every dependency answers.")


class Served(Collector):
    """Counts served calls and their times on the event loop alone: with counters that lock it would cost ten times as much."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, rpc: str, reason: str, seconds: float) -> None:
        """A call has ended; the reason of one that did not fail is OK."""
        self._calls[rpc, reason] += 1
        self._buckets[rpc][bisect_left(SECONDS, seconds)] += 1
        self._seconds[rpc] += seconds

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        calls = CounterMetricFamily("aviary_mesh_rpcs", "Calls served.", labels=["rpc", "reason"])
        for labels, count in self._calls.items():
            calls.add_metric(labels, count)
        yield calls
        times = HistogramMetricFamily("aviary_mesh_rpc_seconds", "Time of a served call.", labels=["rpc"])
        for rpc, counts in self._buckets.items():
            bounds = [*(str(float(bound)) for bound in SECONDS), "+Inf"]
            times.add_metric([rpc], list(zip(bounds, accumulate(counts), strict=True)), self._seconds[rpc])
        yield times


SERVED = Served()
REGISTRY.register(SERVED)


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
    logging.getLogger("cassandra.cluster").addFilter(_is_no_vain_try)
    for library in (*QUIET, *QUIETER):
        logging.getLogger(library).setLevel(logging.ERROR if library in QUIETER else logging.WARNING)


def _is_no_vain_try(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_VAIN)
