"""What the sink into Elasticsearch counts. Each metric is declared once, here."""

from prometheus_client import Counter, Gauge, Histogram

DOCUMENTS = Counter(
    "abdrift_elasticsearch_documents",
    "Documents by what came of them: written, present (it was there), superseded (a newer one was), refused.",
    ["kind", "result"],
)
PASSED_OVER = Counter(
    "abdrift_elasticsearch_passed_over",
    "Records and rows that are not meant for Elasticsearch: not-chosen, older-than-retention, tick, unknown-type.",
    ["topic", "reason"],
)
RETRIES = Counter(
    "abdrift_elasticsearch_retries", "Requests and documents that are tried again, by why.", ["of", "reason"]
)
DEAD_LETTERS = Counter("abdrift_elasticsearch_dead_letters", "Records and rows dead-lettered.", ["reason"])
BULK_SECONDS = Histogram(
    "abdrift_elasticsearch_bulk_seconds",
    "From a bulk request to its answer.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0),
)
BULK_BYTES = Counter("abdrift_elasticsearch_bulk_bytes", "Bytes of bulk requests that were answered.")
LAG_MS = Gauge("abdrift_elasticsearch_lag_milliseconds", "Age of the newest record when it was written.", ["lane"])
WAITING = Gauge(
    "abdrift_elasticsearch_waiting", "1 while nothing is read until Elasticsearch takes what is held.", ["lane"]
)
COMMITS_LOST = Counter(
    "abdrift_elasticsearch_commits_lost",
    "Offsets not committed as the partition has another reader; it writes again.",
    ["lane"],
)
DOUBLES = Counter(
    "abdrift_elasticsearch_doubles_removed", "Rows written a second time beside a rollover, and taken out again."
)
DROPPED_INDICES = Counter("abdrift_elasticsearch_indices_dropped", "Indices dropped, as they are past retention.")
