"""The `samples` signal: values of Prometheus time series, whichever way they came.

A series is a metric's name and its labels; the labels stand in one dictionary-encoded text, since a frame repeats the
same few thousand series and a reader parses each text once. Values keep their bits: Prometheus's staleness marker is a
NaN of a pattern of its own, `STALE_NAN`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

STALE_NAN: Final = 0x7FF0000000000002
"""The bits of the value by which Prometheus says that a series has ended (its `value.StaleNaN`)."""

SAMPLES = Signal(
    name="samples",
    version=1,
    event_time_column="time_ms",
    columns=(
        Column("cluster", TEXT),
        Column("metric", TEXT),
        Column("labels", TEXT),
        Column("value", Type.FLOAT64),
        Column("time_ms", Type.INT64, narrow=True),
        Column("observed_ms", Type.INT64, narrow=True),
        Column("histogram", Type.BINARY, required=False, default=b""),
    ),
)


class SampleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sample. `labels` are without the metric's name, as `labels_text` writes them."""

    cluster: str
    metric: str
    labels: str
    value: float
    """Of a native histogram: its count of observations."""
    time_ms: int
    """The sender's time."""
    observed_ms: int
    """When the collector received it."""
    histogram: bytes = b""
    """A native histogram as remote write 2.0 encodes it (`io.prometheus.write.v2.Histogram`); empty for a float."""


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as the text that the signal carries: a JSON object in the order of the names."""
    return orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS).decode()


def labels_of(text: str) -> dict[str, str]:
    """Return the labels of such a text.

    Raises:
        ValueError: it is no JSON object.

    """
    labels = orjson.loads(text)
    if not isinstance(labels, dict):
        raise ValueError("labels are no JSON object")  # noqa: TRY004  one error for callers
    return labels


def columns_of(rows: Iterable[SampleRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(SAMPLES, rows)


def rows_of(batch: "pa.RecordBatch") -> list[SampleRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(SampleRow, batch)
