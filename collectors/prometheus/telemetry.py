"""What the Prometheus collectors count besides rows. Labels are bounded."""

from typing import Final

from prometheus_client import Counter

OFFENDERS = Counter(
    "abdrift_prometheus_series_refused",
    "Series refused since their cluster or metric has too many, by the label with the most values.",
    ["cluster", "metric", "label"],
)
SCRAPES = Counter("abdrift_prometheus_scrapes", "Scrapes of targets.", ["source", "result"])

_MOST_OFFENDERS: Final = 200
_OTHER: Final = "other"


class Offenders:
    """Counts refused series under a bounded number of names."""

    def __init__(self) -> None:
        self._named: set[tuple[str, str, str]] = set()

    def __call__(self, cluster: str, metric: str, label: str) -> None:
        """Count a series, under `other` where too many have a name already."""
        name = cluster, metric, label
        if name not in self._named and len(self._named) >= _MOST_OFFENDERS:
            name = _OTHER, _OTHER, _OTHER
        self._named.add(name)
        OFFENDERS.labels(*name).inc()
