"""What the sink counts. Each metric is declared once, here. A target is an Alertmanager's host and port."""

from prometheus_client import Counter, Gauge

OPEN = Gauge("abdrift_alertmanager_incidents_open", "Incidents that are open.")
ALERTS = Counter("abdrift_alertmanager_alerts", "Alerts by what came of telling them.", ["target", "result"])
ERRORS = Counter("abdrift_alertmanager_errors", "Requests that failed and are tried again.", ["target", "error"])
TOLD = Gauge("abdrift_alertmanager_told_timestamp_seconds", "When all was told last.", ["target"])
REFUSED = Counter("abdrift_alertmanager_records_refused", "Records that were no incidents.")
