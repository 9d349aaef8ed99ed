"""What the sinks count. Each metric is declared once, here."""

from prometheus_client import Counter, Gauge

COMMANDS_READ = Counter("abdrift_gitops_commands_read", "Command records read for clusters this sink serves.")
COMMANDS_REFUSED = Counter("abdrift_gitops_commands_refused", "Commands not carried out.", ["reason"])
COMMANDS_IN_FLIGHT = Gauge("abdrift_gitops_commands_in_flight", "Commands being carried out.")
OUTCOMES = Counter("abdrift_gitops_outcomes", "Commands that ended.", ["result"])
RECORDS_UNREADABLE = Counter("abdrift_gitops_records_unreadable", "Records that were no facts.", ["topic"])
