"""The `levels` signal: what metrics and logs say against workloads, nodes and clusters, or no longer do. Internal.

A row is the word of `streams.levels` about one subject under one rule, said when it changes; the newest one counts.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

LEVELS = Signal(
    name="levels",
    version=1,
    event_time_column="judged_ms",
    columns=(
        Column("cluster", TEXT),
        Column("subject", TEXT),
        Column("namespace", TEXT),
        Column("kind", TEXT),
        Column("name", TEXT),
        Column("rule", TEXT),
        Column("state", TEXT),
        Column("severity", TEXT),
        Column("source", TEXT),
        Column("message", TEXT),
        Column("last_ms", Type.INT64, narrow=True),
        Column("judged_ms", Type.INT64, narrow=True),
    ),
)


class State(StrEnum):
    """What is known of a level."""

    CLEAR = "clear"
    """It is not passed, or what was judged is no more."""
    FIRING = "firing"
    UNKNOWN = "unknown"
    """It was passed when its series fell silent."""


class LevelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One subject under one rule."""

    cluster: str
    subject: str
    """`workload`, `node` or `cluster`, as `abdrift.facts.governance.LevelSubject`."""
    namespace: str = ""
    kind: str = ""
    name: str = ""
    """Of a workload without what Kubernetes appends to generated names; of a cluster empty."""
    rule: str
    state: str
    severity: str
    """The health status that it gives while it fires."""
    source: str
    """`metrics` or `logs`."""
    message: str = ""
    last_ms: int
    """The time of the newest sample that it rests on; of logs, the end of the window."""
    judged_ms: int
    """Append time at which this was found: a later word replaces an earlier one."""


def columns_of(rows: Iterable[LevelRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(LEVELS, rows)


def rows_of(batch: "pa.RecordBatch") -> list[LevelRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(LevelRow, batch)
