"""What svc_graph counts of itself; logs carry the ids."""

from prometheus_client import Counter

DRIFT = Counter(
    "aviary_graph_drift_total",
    "Rows that were missing beside a follow, or stood for none, and were repaired.",
    ["table", "kind"],
)
REPAIR_PASSES = Counter("aviary_graph_repair_passes_total", "How often all follows were held against their mirrors.")
PAGES = Counter(
    "aviary_graph_pages_total",
    "Pages of followers: kept ones, read ones that are kept now, and those of accounts too small or partitions that were changing.",
    ["outcome"],
)
SNAPSHOTS = Counter(
    "aviary_graph_snapshots_total",
    "Snapshots of viewers: kept ones that were still so, and ones read row by row.",
    ["outcome"],
)
ACTIVITY = Counter(
    "aviary_graph_activity_total",
    "Pages of followers that say who is away, on which nobody is known to be, and for which that could not be known.",
    ["outcome"],
)
DAYS_ASKED = Counter("aviary_graph_reader_days_read_total", "Followers whose last day of reading was looked up.")
FORGOTTEN = Counter(
    "aviary_graph_forgotten_total", "Rows of follows, blocks and mutes that ended long ago and were deleted.", ["table"]
)
