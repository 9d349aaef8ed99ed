"""What is counted of log events besides rows and refusals. Labels are bounded by what the code knows."""

from prometheus_client import Counter, Gauge

ADJUSTED = Counter(
    "abdrift_logs_adjusted",
    "Lines that were kept with a part of them changed: cut, or with a time within bounds.",
    ["source", "what"],
)
RECORDS = Counter("abdrift_logs_topic_records", "Records read from a topic of log events.", ["topic"])
LAG = Gauge("abdrift_logs_topic_lag", "Records of a partition that have not been read.", ["topic", "partition"])
COMMIT_FAILURES = Counter(
    "abdrift_logs_topic_commit_failures",
    "Commits that came after a partition was lost, so that what was read of it is read again.",
    ["topic"],
)
