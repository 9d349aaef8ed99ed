"""What the exporter tells of itself, whether or not it may tell of the fleet. Each metric is declared once, here."""

from prometheus_client import Counter, Gauge, Histogram

CAUGHT_UP = Gauge(
    "abdrift_exporter_caught_up", "1 while all that the topics say is known; 0: nothing is told of the fleet."
)
BEHIND = Gauge("abdrift_exporter_behind_records", "Records that are not read yet, at most.")
CHECKED = Gauge("abdrift_exporter_checked_timestamp_seconds", "When it was last seen that all is read.")
NEWEST = Gauge(
    "abdrift_exporter_newest_record_timestamp_seconds", "When Kafka took the newest record that was read.", ["topic"]
)
RECORDS = Counter("abdrift_exporter_records", "Records that changed what is known.", ["topic"])
REFUSED = Counter("abdrift_exporter_records_refused", "Records that were no facts.", ["topic", "reason"])
KAFKA_ERRORS = Counter("abdrift_exporter_kafka_errors", "Times that no broker answered.", ["error"])
COLLECT_SECONDS = Histogram("abdrift_exporter_collect_seconds", "Time to make the series of the fleet.")
WRITTEN = Counter(
    "abdrift_exporter_remote_write_samples",
    "Samples by what came of them: sent, refused by the receiver, or dropped since newer ones were there.",
    ["result"],
)
WRITE_ERRORS = Counter("abdrift_exporter_remote_write_errors", "Requests that failed and were tried again.", ["error"])
WRITE_SECONDS = Histogram("abdrift_exporter_remote_write_seconds", "From a snapshot to its last acknowledgement.")
