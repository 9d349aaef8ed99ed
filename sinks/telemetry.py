"""What the sinks count. Each metric is declared once, here."""

from prometheus_client import Counter, Gauge, Histogram

COMMANDS_READ = Counter("abdrift_gitops_commands_read", "Command records read for clusters this sink serves.")
COMMANDS_REFUSED = Counter("abdrift_gitops_commands_refused", "Commands not carried out.", ["reason"])
COMMANDS_IN_FLIGHT = Gauge("abdrift_gitops_commands_in_flight", "Commands being carried out.")
STEP_SECONDS = Histogram(
    "abdrift_gitops_step_seconds",
    "Time that a command took from one step to the next: received (since it was issued), patched, handled, ready, "
    "corrected, finished.",
    ["step"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0),
)
OUTCOMES = Counter("abdrift_gitops_outcomes", "Commands that ended.", ["result"])
RECORDS_UNREADABLE = Counter("abdrift_gitops_records_unreadable", "Records that were no facts.", ["topic"])
