"""The `events` signal: Kubernetes Events, which hint but never prove, since they are rate-limited and merged."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal

EVENTS = Signal(
    name="events",
    version=1,
    event_time_column="last_ms",
    columns=(
        Column("cluster", TEXT),
        Column("namespace", TEXT),
        Column("type", TEXT),
        Column("reason", TEXT),
        Column("component", TEXT),
        Column("object_group", TEXT),
        Column("object_kind", TEXT),
        Column("object_name", TEXT),
        Column("object_uid", TEXT),
        Column("count", pa.int32()),
        Column("first_ms", pa.int64()),
        Column("last_ms", pa.int64()),
        Column("observed_ms", pa.int64()),
        Column("uid", pa.utf8()),
        Column("message", TEXT, required=False, default=""),
        Column("revision", TEXT, required=False, default=""),
    ),
)


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One Event as it was seen. `count` is how many were added since the collector last saw this Event."""

    cluster: str
    namespace: str
    type: str
    reason: str
    component: str
    object_group: str
    object_kind: str
    object_name: str
    object_uid: str
    count: int
    first_ms: int
    last_ms: int
    observed_ms: int
    uid: str
    message: str = ""
    revision: str = ""


def columns_of(rows: Iterable[EventRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(EVENTS, rows)


def rows_of(batch: pa.RecordBatch) -> list[EventRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(EventRow, batch)
