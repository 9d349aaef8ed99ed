"""The `logs` signal: log lines that Logstash, Beats, Vector, Fluent Bit or rsyslog sent, in one shape.

Senders name their fields by ECS or by OpenTelemetry; `collectors.logs` maps both to these columns. What fits none of
them is kept in `fields`.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

LOGS = Signal(
    name="logs",
    version=1,
    event_time_column="time_ms",
    columns=(
        Column("cluster", TEXT),
        Column("namespace", TEXT),
        Column("workload_kind", TEXT),
        Column("workload", TEXT),
        Column("pod", TEXT),
        Column("container", TEXT),
        Column("node", TEXT),
        Column("severity", TEXT),
        Column("sender", TEXT),
        Column("time_ms", Type.INT64, narrow=True),
        Column("observed_ms", Type.INT64, narrow=True),
        Column("message", TEXT),
        Column("fields", TEXT, required=False, default=""),
    ),
)


class Severity(StrEnum):
    """How bad a line says it is, in OpenTelemetry's short names; `UNSET` where it doesn't say."""

    UNSET = ""
    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Fields that the sender did not name are empty."""

    cluster: str
    namespace: str = ""
    workload_kind: str = ""
    """Of the controller, e.g. `Deployment`."""
    workload: str = ""
    pod: str = ""
    container: str = ""
    node: str = ""
    severity: str = Severity.UNSET.value
    sender: str
    """What sent it, e.g. `filebeat`, `logstash`, `vector`, `fluent-bit`, `rsyslog`."""
    time_ms: int
    """The sender's time; the collector's where the line has none."""
    observed_ms: int
    """When the collector received it."""
    message: str
    fields: str = ""
    """A JSON object of everything else, by the sender's own names with dots for nesting; empty where there is none."""


def columns_of(rows: Iterable[LogRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(LOGS, rows)


def rows_of(batch: "pa.RecordBatch") -> list[LogRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(LogRow, batch)
