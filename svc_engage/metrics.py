"""What svc_engage counts of itself; logs carry the ids."""

from prometheus_client import Counter, Gauge, Histogram

from runtime.telemetry import SECONDS

FLUSHES = Counter(
    "aviary_engage_flushes_total", "Batches of partitions that were counted, or are tried again.", ["outcome"]
)
COUNT_WRITES = Counter("aviary_engage_count_writes_total", "Counts written to the store.", ["kind"])
ROW_READS = Counter(
    "aviary_engage_row_reads_total", "Rows that were read to count: what a process knows it does not read."
)
ROW_WRITES = Counter("aviary_engage_row_writes_total", "Rows marked as counted.", ["kind"])
LIST_WRITES = Counter("aviary_engage_list_writes_total", "Likes whose lists the owner wrote because no request had.")
ROWS_LEFT = Counter(
    "aviary_engage_rows_left_total", "Likes whose rows a request could not write behind its answer; the owner does."
)
LAG = Histogram(
    "aviary_engage_lag_seconds",
    "From an event's time to the end of the batch that counted it, of the oldest event of each batch.",
    buckets=(*SECONDS, 60, 300, 1800),
)
OWED = Gauge("aviary_engage_owed_to_redis", "Counts that Redis does not know yet, because it was away.")
LOST = Counter("aviary_engage_lost_total", "Partitions of which events may have gone uncounted.", ["durable"])
WRONG = Counter(
    "aviary_engage_wrong_total", "Subjects whose stored count contradicts the rows; they are recounted.", ["kind"]
)
DRIFT = Counter(
    "aviary_engage_drift_total",
    "What a recount found wrong and repaired: counts, and members counted wrongly.",
    ["kind"],
)
RECOUNTED = Counter("aviary_engage_recounted_total", "Subjects that were recounted.", ["kind"])
READS = Counter(
    "aviary_engage_reads_total",
    "Reads of counts that the cache alone did not answer: it was away, knew a part, or could not be told.",
    ["outcome"],
)
MARK_BUILDS = Counter("aviary_engage_mark_builds_total", "Marks of users that were read into the cache.", ["outcome"])
