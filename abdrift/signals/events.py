"""The `events` signal: Kubernetes Events, which hint but never prove, since they are rate-limited and merged.

The UIDs of an Event and of its object are 32 random bytes a row, four times what all else costs, and nobody reads
them: collectors leave them out.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS = Signal(
    name="events",
    version=2,
    event_time_column="last_ms",
    columns=(
        Column("cluster", TEXT),
        Column("namespace", TEXT),
        Column("type", TEXT, joint=True),
        Column("reason", TEXT, joint=True),
        Column("component", TEXT, joint=True),
        Column("object_group", TEXT, joint=True),
        Column("object_kind", TEXT, joint=True),
        Column("object_name", TEXT),
        Column("count", Type.INT32, narrow=True),
        Column("first_ms", Type.INT64, narrow=True, before="last_ms"),
        Column("last_ms", Type.INT64, narrow=True),
        Column("observed_ms", Type.INT64, narrow=True),
        Column("message", TEXT, required=False, default=""),
        Column("revision", TEXT, required=False, default=""),
        Column("object_uid", TEXT, required=False, default=""),
        Column("uid", Type.UTF8, required=False, default=""),
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
    count: int
    first_ms: int
    last_ms: int
    observed_ms: int
    message: str = ""
    revision: str = ""
    object_uid: str = ""
    uid: str = ""


def columns_of(rows: Iterable[EventRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(EVENTS, rows)


def rows_of(batch: "pa.RecordBatch") -> list[EventRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(EventRow, batch)
