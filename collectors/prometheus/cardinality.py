"""How many series a cluster may have, and which metric and label are to blame where it has more."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from pydantic import Field

from abdrift.configuration import Settings
from abdrift.signals import samples
from collectors.blocks import SeriesTable
from collectors.prometheus.labels import SeriesRefusedError, shown

log = logging.getLogger(__name__)

_SERIES_LOOKED_AT: Final = 1_000
_OFFENDERS: Final = 100
"""So many are named in a window; the rest is refused without a name of its own."""
_OTHER: Final = "other"


class SeriesLimits(Settings):
    """How many series there may be within a window, and how large."""

    cluster_series: int = Field(default=500_000, ge=1, description="Of one cluster within a window.")
    metric_series: int = Field(default=50_000, ge=1, description="Of one metric of one cluster within a window.")
    memory_bytes: int = Field(
        default=512 << 20, ge=1 << 20, description="For the series of a window, of which two are held; full, it ends."
    )
    window_seconds: float = Field(default=3_600, gt=0, description="What is not seen for so long is forgotten.")
    labels: int = Field(default=64, ge=1, description="Of one series.")
    label_name_bytes: int = Field(default=256, ge=1)
    label_value_bytes: int = Field(default=4_096, ge=1)


class Cardinality:
    """The series of each cluster and metric within a window."""

    def __init__(self, limits: SeriesLimits, told: Callable[[str, str, str], None]) -> None:
        """`told(cluster, metric, label)` hears of each refused series' offender, by one of a bounded set of names."""
        self._limits = limits
        self._told = told
        self._of_cluster: Counter[str] = Counter()
        self._of_metric: Counter[tuple[str, str]] = Counter()
        self._offenders: dict[tuple[str, str], tuple[str, str]] = {}
        self._largest_metrics: dict[str, str] = {}

    def begin(self) -> None:
        """Begin a window."""
        self._of_cluster.clear()
        self._of_metric.clear()
        self._offenders.clear()
        self._largest_metrics.clear()

    def count(self, cluster: str, metric: str) -> None:
        """Count a series that was let in."""
        self._of_cluster[cluster] += 1
        self._of_metric[cluster, metric] += 1

    def admit(self, table: SeriesTable, cluster: str, metric: str) -> None:
        """Count a new series.

        Raises:
            SeriesRefusedError: its cluster or metric has as many as it may; the message names what has most values.

        """
        limits = self._limits
        if self._of_metric[cluster, metric] >= limits.metric_series:
            label, what = self._offender(table, cluster, metric)
            reason, bound = "metric-series", f"{limits.metric_series} series of metric {shown(metric)}"
        elif self._of_cluster[cluster] >= limits.cluster_series:
            metric = self._largest(cluster)
            label, what = self._offender(table, cluster, metric)
            reason, bound = "cluster-series", f"{limits.cluster_series} series"
        else:
            self.count(cluster, metric)
            return
        self._told(cluster, metric if (cluster, metric) in self._offenders else _OTHER, label)
        raise SeriesRefusedError(
            reason, f"cluster {shown(cluster)} may have {bound} within {limits.window_seconds:g} s: {what}"
        )

    def _largest(self, cluster: str) -> str:
        """Return the metric that has most series when its cluster is first refused one in a window."""
        if cluster not in self._largest_metrics:
            keys = [key for key in self._of_metric if key[0] == cluster]
            self._largest_metrics[cluster] = max(keys, key=self._of_metric.__getitem__)[1]
        return self._largest_metrics[cluster]

    def _offender(self, table: SeriesTable, cluster: str, metric: str) -> tuple[str, str]:
        """Return the label that has most values among a metric's series, and the sentence that says so."""
        key = cluster, metric
        if key not in self._offenders:
            if len(self._offenders) >= _OFFENDERS:
                return _OTHER, "too many metrics are above it to name this one"
            values: dict[str, set[str]] = {}
            for text in table.labels_texts(cluster, metric, _SERIES_LOOKED_AT):
                for label, value in samples.labels_of(text).items():
                    values.setdefault(label, set()).add(value)
            label = max(values, key=lambda each: len(values[each]), default="")
            seen = len(values.get(label, ()))
            what = (
                f"metric {shown(metric)} has {self._of_metric[key]} series, and its label {shown(label)} the most "
                f"values ({seen} among the first {_SERIES_LOOKED_AT} series); drop or bound it"
            )
            log.warning("cluster %s is at its bound of series: %s", shown(cluster), what)
            self._offenders[key] = label, what
        return self._offenders[key]
