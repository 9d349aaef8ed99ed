"""Every metric that a module of Abdrift declares: what dashboards and rules may name.

As a program (`python -m tests.deploy.monitoring.declared HOST PORT`) it serves them all, each with a value: in place of
processes that would take too long to run, and in none of a test's own.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

import collectors
import sinks
from sinks.prometheus.families import FAMILIES
from streams.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from prometheus_client.metrics import MetricWrapperBase

SOURCE = "kubernetes/edge-1"
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
_SELECTOR = re.compile(r"\b(abdrift[_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_OF_TARGETS = {"job", "instance", "le"}


def lacking(promql: str, recorded: Collection[str] = ()) -> list[str]:
    """Return what a query names and nothing exposes: metrics, and labels that metrics are selected by."""
    known = series()
    wrong = []
    for name, matchers in _SELECTOR.findall(promql):
        if name in recorded:
            continue
        if name not in known:
            wrong.append(name)
            continue
        wrong += [f"{name}{{{one}}}" for one in _LABEL.findall(matchers) if one not in {*known[name], *_OF_TARGETS}]
    return wrong


def series() -> dict[str, tuple[str, ...]]:
    """Return the labels of every series that a process of Abdrift may expose, by its name."""
    found: dict[str, tuple[str, ...]] = {}
    for metric in _metrics(CollectorRegistry()):
        for suffix in _SUFFIXES[metric._type]:
            found[metric._name + suffix] = tuple(metric._labelnames)
    for family in FAMILIES:
        for suffix in _SUFFIXES[family.kind]:
            found[family.name + suffix] = family.labels
    return found


def _metrics(engine: CollectorRegistry) -> Iterator[MetricWrapperBase]:
    """Import every module of telemetry and yield what they declare; the engine's is made in a registry given."""
    for package in (collectors, sinks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith(".telemetry"):
                importlib.import_module(module.name)
    Metrics(engine)
    for registry in {REGISTRY, engine}:
        for collector in registry._collector_to_names:
            if isinstance(collector, Counter | Gauge | Histogram) and collector._name.startswith("abdrift_"):
                yield collector


def serve(host: str, port: int) -> None:
    """Give every metric a value, with its labels' own names for their values, and serve them for ever."""
    for metric in list(_metrics(REGISTRY)):
        values = [SOURCE if label == "source" else label for label in metric._labelnames]
        one = metric.labels(*values) if values else metric
        if isinstance(one, Histogram):
            one.observe(0.1)
        else:
            assert isinstance(one, Counter | Gauge)
            one.inc()
    _, thread = start_http_server(port, host)
    thread.join()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
