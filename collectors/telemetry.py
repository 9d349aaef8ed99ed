"""What collectors count. Each metric is declared once, here.

Every counter and gauge carries the source (`kubernetes/edge-0042`, `git`). What is left out on purpose is *suppressed*,
what is lost is *dropped*; each has a reason.
"""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("abdrift_collector_rows", "Rows handed to frames.", ["source", "signal", "op"])
FRAMES = Counter("abdrift_collector_frames", "Frames acknowledged by Kafka.", ["source", "signal"])
FRAME_BYTES = Counter(
    "abdrift_collector_frame_bytes", "Bytes of acknowledged frames, compressed.", ["source", "signal"]
)
FRAME_SECONDS = Histogram(
    # Of one source there may be ten thousand, so this is of all.
    "abdrift_collector_frame_seconds",
    "From a closed frame to its acknowledgement, by Kafka or by the disk that spools it, every further try included.",
    ["signal"],
)
SEND_ERRORS = Counter("abdrift_collector_send_errors", "Sends that failed and were tried again.", ["source", "error"])
DROPPED = Counter("abdrift_collector_rows_dropped", "Rows lost.", ["source", "reason"])
SUPPRESSED = Counter("abdrift_collector_suppressed", "Observations left out on purpose.", ["source", "reason"])
RELISTS = Counter("abdrift_collector_relists", "Lists after the first.", ["source", "reason"])
WATCH_RESTARTS = Counter(
    "abdrift_collector_watch_restarts", "Watches opened again from where they stood.", ["source", "reason"]
)
API_ERRORS = Counter("abdrift_collector_api_errors", "Kubernetes requests that failed.", ["source", "code"])
AGENT_FAILURES = Counter("abdrift_collector_agent_failures", "Agents that failed and were started again.", ["source"])
REMOTE_ERRORS = Counter("abdrift_collector_remote_errors", "Git remotes that could not be asked.", ["source"])
KNOWN_OBJECTS = Gauge("abdrift_collector_known_objects", "Objects held by fingerprint.", ["source"])
OPEN_WATCHES = Gauge("abdrift_collector_open_watches", "Watches that are open.", ["source"])
DEAD_LETTERS = Counter(
    "abdrift_collector_dead_letters", "What could not be read and was kept as a dead letter.", ["source", "reason"]
)
SPOOLED_BYTES = Gauge("abdrift_collector_spooled_bytes", "Bytes of frames that wait on disk.", ["source"])
SPOOLED_SECONDS = Gauge("abdrift_collector_spooled_seconds", "For how long the oldest of them has waited.", ["source"])
SPOOL_DAMAGED_BYTES = Gauge(
    "abdrift_collector_spool_damaged_bytes", "Bytes on disk that could not be read and were passed over.", ["source"]
)
BUDGET_SPENT_BYTES = Gauge("abdrift_collector_budget_spent_bytes", "Bytes sent today under a daily budget.", ["source"])
