"""What svc_graph counts of itself; logs carry the ids."""

from prometheus_client import Counter

DRIFT = Counter(
    "aviary_graph_drift_total",
    "Rows that were missing beside a follow, or stood for none, and were repaired.",
    ["table", "kind"],
)
REPAIR_PASSES = Counter("aviary_graph_repair_passes_total", "How often all follows were held against their mirrors.")
