"""What the page's server counts. Labels are bounded: `route` and `reason` by what the code knows."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("abdrift_web_requests", "Requests answered.", ["route", "code"])
REFUSED = Counter("abdrift_web_refused", "Requests refused, and browsers let go.", ["reason"])
BROWSERS = Gauge("abdrift_web_browsers", "Browsers that are told of changes now.")
BATCHES = Counter("abdrift_web_batches", "Batches of changes sent to browsers.")
BYTES = Counter("abdrift_web_batch_bytes", "Bytes of batches sent to browsers.")
ENCODE_SECONDS = Histogram("abdrift_web_encode_seconds", "To encode what changed since one version.")
CHANGES = Counter("abdrift_web_changes", "Changed facts taken in.", ["topic"])
UNREADABLE = Gauge("abdrift_web_unreadable", "Facts that were not as their schema says, since the start.")
CLUSTERS = Gauge("abdrift_web_clusters", "Clusters on the map.")
NEWEST_FACT = Gauge("abdrift_web_newest_fact_timestamp_seconds", "When Kafka took the newest fact about a cluster.")
KAFKA_ANSWERS = Gauge("abdrift_web_kafka_answers", "1 while Kafka answers the page's server.")
