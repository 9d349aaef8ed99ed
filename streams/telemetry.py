"""What streams tell about themselves: every metric and every log event, declared once.

Metrics are Prometheus', in the process's default registry unless a test brings its own. Log events go through the
standard library's logging under `abdrift.streams`, as `event key=value ...`.
"""

import logging
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

LOGGER: Final = logging.getLogger("abdrift.streams")

_COMMIT_BUCKETS_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RestoreGauges:
    """How far each partition's state was restored last, or is being restored now."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"abdrift_engine_restore_{name}", text, ["step", "partition"], registry=registry)

        self.records = gauge("records", "Changelog records read, by offset: what compaction took counts as read")
        self.wanted = gauge("wanted_records", "Changelog records to read, those that are read included")
        self.size_bytes = gauge("bytes", "Bytes of keys and values read from the changelog")
        self.percent = gauge("percent", "The share of the records that is read")
        self.seconds_left = gauge("seconds_left", "How long the rest takes at the pace so far; NaN where none is known")


class Metrics:
    """The engine's metrics. One instance a registry; every series carries the step's name."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        step = ["step"]
        self.records = Counter("abdrift_engine_records", "Records absorbed into state", step, registry=registry)
        self.rows = Counter("abdrift_engine_rows", "Rows of frames absorbed into state", step, registry=registry)
        self.skipped = Counter(
            "abdrift_engine_records_skipped",
            "Records passed over: already absorbed or of a lost assignment (meant), missing, or asked for again",
            ["step", "reason"],
            registry=registry,
        )
        self.passed_over = Counter(
            "abdrift_engine_passed_over",
            "Rows and Events that a step read and did not count: late, repeated, or with labels beyond a bound",
            ["step", "reason"],
            registry=registry,
        )
        self.batches = Counter("abdrift_engine_batches", "Batches committed", step, registry=registry)
        self.facts = Counter("abdrift_engine_facts", "Facts published", ["step", "topic"], registry=registry)
        self.dead_letters = Counter(
            "abdrift_engine_dead_letters",
            "Rows and records refused and dead-lettered",
            ["step", "reason"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "abdrift_engine_commit_seconds",
            "From a batch's processing to its facts' acknowledgement",
            step,
            registry=registry,
            buckets=_COMMIT_BUCKETS_SECONDS,
        )
        self.process_seconds = Counter(
            "abdrift_engine_process_seconds", "Time spent inside the step", step, registry=registry
        )
        self.lag_ms = Gauge(
            "abdrift_engine_lag_milliseconds", "Age of the newest record when taken", ["step"], registry=registry
        )
        self.buffered_bytes = Gauge(
            "abdrift_engine_buffered_bytes", "Fetched and not yet absorbed", step, registry=registry
        )
        self.restore = RestoreGauges(registry)
        self.lanes = Gauge("abdrift_engine_partitions", "Partitions this worker owns", step, registry=registry)
        self.intrusions = Counter(
            "abdrift_engine_intrusions",
            "Changelog records of a superseded owner, found and made good",
            step,
            registry=registry,
        )


def event(level: int, name: str, **fields: Any) -> None:
    """Log one event, e.g. `event(logging.INFO, "partition-taken", step="drift", partition=3)`."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", " ".join([name, *(f"{key}={_plain(value)}" for key, value in fields.items())]))


def _plain(value: Any) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text
