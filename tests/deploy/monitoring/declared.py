"""Every metric that a module of Abdrift declares: what dashboards and rules may name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

import collectors
import sinks
from sinks.prometheus.families import FAMILIES
from streams.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics import MetricWrapperBase

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def _of(registry: CollectorRegistry) -> Iterator[MetricWrapperBase]:
    for collector in registry._collector_to_names:
        if isinstance(collector, Counter | Gauge | Histogram):
            yield collector


def _declare() -> None:
    """Import every module of telemetry, so that what it declares stands in the default registry."""
    for package in (collectors, sinks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith(".telemetry"):
                importlib.import_module(module.name)


def series() -> dict[str, tuple[str, ...]]:
    """Return the labels of every series that a process of Abdrift may expose, by its name."""
    _declare()
    engine = CollectorRegistry()
    Metrics(engine)
    found: dict[str, tuple[str, ...]] = {}
    for metric in [*_of(REGISTRY), *_of(engine)]:
        for suffix in _SUFFIXES[metric._type]:
            found[metric._name + suffix] = tuple(metric._labelnames)
    for family in FAMILIES:
        for suffix in _SUFFIXES[family.kind]:
            found[family.name + suffix] = family.labels
    return found


def set_all() -> None:
    """Give every metric of the default registry a value, with its labels' own names for their values."""
    _declare()
    for metric in _of(REGISTRY):
        one = metric.labels(*metric._labelnames) if metric._labelnames else metric
        one.observe(0.1) if isinstance(one, Histogram) else one.inc()
