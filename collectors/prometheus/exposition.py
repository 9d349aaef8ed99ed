"""What a target answers: OpenMetrics or Prometheus's text format, as samples. Pure.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics specification 1.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from collectors.prometheus.labels import METRIC_NAME, Labels

ACCEPT: Final = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
_OPENMETRICS: Final = "application/openmetrics-text"


class UnreadableError(ValueError):
    """An answer that is in neither format."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """One sample of an answer. `time_ms` is None where the target names no time."""

    labels: Labels
    value: float
    time_ms: int | None
    has_exemplar: bool


def samples(body: bytes, media_type: str) -> Iterator[Exposed]:
    """Yield the samples of an answer, in order.

    Raises:
        UnreadableError: it is in another format than its media type says.

    """
    try:
        text = body.decode()
        families = _openmetrics(text) if media_type == _OPENMETRICS else _plain(text)
        for family in families:
            for sample in family.samples:
                labels = {METRIC_NAME: sample.name, **{name: value for name, value in sample.labels.items() if value}}
                time_ms = None if sample.timestamp is None else round(float(sample.timestamp) * 1_000)
                yield Exposed(labels, float(sample.value), time_ms, sample.exemplar is not None)
    except Exception as error:  # the library raises whatever comes up while it reads; all of it is the target's doing
        raise UnreadableError(f"the answer cannot be read: {error!r}"[:300]) from error


def _openmetrics(text: str) -> Iterator[Any]:
    yield from openmetrics_parser.text_fd_to_metric_families(StringIO(text))  # type: ignore[no-untyped-call]


def _plain(text: str) -> Iterator[Any]:
    # Told the types, the library would rename counters that do not end in _total.
    untyped = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    yield from text_string_to_metric_families(untyped + "\n")
