"""What svc_timeline counts; logs carry the ids."""

from prometheus_client import Counter, Histogram

from runtime.telemetry import SECONDS

FANOUT_LAG = Histogram(
    "aviary_timeline_fanout_lag_seconds",
    "From a tweet's time to the end of the last chunk of one of its follower shards.",
    buckets=(*SECONDS, 60, 300, 1800),
)
DELIVERIES = Counter("aviary_timeline_deliveries_total", "Entries delivered to homes, repeats included.")
READS = Counter(
    "aviary_timeline_reads_total", "Homes read: from the window, without one, without the cache.", ["outcome"]
)
REBUILDS = Counter("aviary_timeline_rebuilds_total", "Windows built from the store.", ["outcome"])
READERS_SEEN = Counter(
    "aviary_timeline_readers_seen_total",
    "Readers met for the first time on a day: noted now, noted already, or not, because of the database or of too many.",
    ["outcome"],
)
