"""What receivers count. Labels are bounded: `handler` by the configuration, `reason` by what the code knows."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("abdrift_receiver_requests", "Requests answered.", ["handler", "code"])
BYTES = Counter("abdrift_receiver_bytes", "Bytes received, as they were sent.", ["handler"])
REFUSED = Counter("abdrift_receiver_refused", "Requests and connections refused.", ["handler", "reason"])
REJECTED_ROWS = Counter("abdrift_receiver_rejected_rows", "Rows of accepted requests left out.", ["handler", "reason"])
SECONDS = Histogram("abdrift_receiver_answer_seconds", "From a body's last byte to the answer.", ["handler"])
UNDER_WAY = Gauge("abdrift_receiver_under_way", "Requests under way, or connections of a TCP protocol.", ["handler"])
RELOADS = Counter("abdrift_receiver_reloads", "Readings of certificates and secrets.", ["result"])
