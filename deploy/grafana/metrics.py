"""Every metric that a process of Abdrift exposes, as its modules declare them: what dashboards and rules may name."""

import importlib
import pkgutil
import re
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import collectors
import sinks
from sinks.prometheus.families import FAMILIES
from streams.telemetry import Metrics

Wrapper = Counter | Gauge | Histogram
_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
_SELECTOR: Final = re.compile(r"\b(abdrift[_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})?")
_LABEL: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
_OF_TARGETS: Final = {"job", "instance", "le"}
_PAGE: Final = """\
# Metrics

Written by `python -m deploy.grafana` from what the modules declare. A counter's series ends in `_total`, a histogram's
in `_bucket`, `_count` and `_sum`. Every process has Prometheus's own `process_…` and `python_…` beside these.
"""


class Metric(NamedTuple):
    """A metric as it is declared."""

    module: str
    """Where it stands."""
    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def wrappers(engine: CollectorRegistry) -> Iterator[tuple[str, Wrapper]]:
    """Yield what modules of telemetry declare, with each one's module; the engine's are made in a registry given."""
    for package in (collectors, sinks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] == "telemetry":
                declared = vars(importlib.import_module(module.name)).values()
                yield from ((module.name, one) for one in declared if isinstance(one, Wrapper))
    Metrics(engine)
    # The client library has no public way to what a registry holds.
    held = engine._collector_to_names  # noqa: SLF001
    yield from (
        ("streams.telemetry", one) for one in held if isinstance(one, Wrapper) and _name(one).startswith("abdrift")
    )


def declared() -> list[Metric]:
    """Return every metric, by module and in the order of their declaration."""
    found = [
        Metric(module, _name(one), one._type, tuple(one._labelnames), one._documentation)  # noqa: SLF001  likewise
        for module, one in wrappers(CollectorRegistry())
    ]
    told = [Metric("sinks.prometheus.families", one.name, one.kind, one.labels, one.help) for one in FAMILIES]
    return sorted([*found, *told], key=lambda metric: metric.module)


def series() -> dict[str, tuple[str, ...]]:
    """Return the labels of every series, by its name."""
    return {metric.name + suffix: metric.labels for metric in declared() for suffix in _SUFFIXES[metric.kind]}


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


def page() -> str:
    """Return the page that lists them."""
    text = _PAGE
    for module, found in groupby(declared(), key=lambda metric: metric.module):
        text += f"\n## {module}\n\n| metric | kind | labels | what it says |\n| --- | --- | --- | --- |\n"
        text += "".join(f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.help} |\n" for one in found)
    return text


def _name(one: Wrapper) -> str:
    name: str = one._name  # noqa: SLF001  likewise
    return name
