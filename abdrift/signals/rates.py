"""The `rates` signal: workloads whose rate of Warning Events became unusual, or usual again. Internal.

A row is the word of `streams.rates` about one workload, said when it changes; the newest one of a workload counts.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

RATES = Signal(
    name="rates",
    version=1,
    event_time_column="judged_ms",
    columns=(
        Column("cluster", TEXT),
        Column("namespace", TEXT),
        Column("kind", TEXT),
        Column("name", TEXT),
        Column("unusual", Type.BOOL),
        Column("warnings", Type.INT64, narrow=True),
        Column("usual_per_minute", Type.FLOAT64),
        Column("reason", TEXT),
        Column("last_ms", Type.INT64, narrow=True),
        Column("judged_ms", Type.INT64, narrow=True),
    ),
)


class RateRow(msgspec.Struct, frozen=True, kw_only=True):
    """One workload's rate. `name` is as Events have it, without what Kubernetes appends to generated names."""

    cluster: str
    namespace: str
    kind: str
    name: str
    unusual: bool
    warnings: int
    """Within the window."""
    usual_per_minute: float
    reason: str
    """Of the newest Warning."""
    last_ms: int
    """Event time of the newest Warning."""
    judged_ms: int
    """Append time at which this was found: a later word replaces an earlier one."""


def columns_of(rows: Iterable[RateRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(RATES, rows)


def rows_of(batch: "pa.RecordBatch") -> list[RateRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(RateRow, batch)
