"""The `alerts` signal: what Alertmanager and Flux's notification controller tell, each notification's parts as rows.

They say what someone else has judged. An alert of Alertmanager fires and resolves under one fingerprint. An event of
Flux is said once: it stands here as an alert about its object, which fires where its severity is `error` and is
resolved by any other.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

ALERTS = Signal(
    name="alerts",
    version=1,
    event_time_column="observed_ms",
    columns=(
        Column("cluster", TEXT),
        Column("sender", TEXT),
        Column("name", TEXT),
        Column("status", TEXT),
        Column("severity", TEXT),
        Column("fingerprint", Type.UTF8),
        Column("starts_ms", Type.INT64),
        Column("ends_ms", Type.INT64),
        Column("observed_ms", Type.INT64, narrow=True),
        Column("labels", TEXT),
        Column("annotations", TEXT),
        Column("message", TEXT, required=False, default=""),
        Column("group", TEXT, required=False, default=""),
        Column("url", TEXT, required=False, default=""),
    ),
)


class Status(StrEnum):
    """Whether it still holds."""

    FIRING = "firing"
    RESOLVED = "resolved"


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as one notification told it."""

    cluster: str
    sender: str
    """`alertmanager` or `flux`."""
    name: str
    """The label `alertname`; of Flux, the event's reason."""
    status: str
    severity: str
    """The sender's own word."""
    fingerprint: str
    """The same for the same alert, firing and resolved."""
    starts_ms: int
    ends_ms: int
    """0 where it has not ended."""
    observed_ms: int
    labels: str
    """A JSON object. Of Flux: `apiVersion`, `kind`, `namespace` and `name` of the object, and the event's metadata."""
    annotations: str
    """A JSON object. Of Flux: its reporting controller."""
    message: str = ""
    group: str = ""
    """Alertmanager's key of the group in which it was told."""
    url: str = ""
    """Where a person sees what made it fire, as the sender says."""

    def labelled(self) -> dict[str, str]:
        """Return the labels.

        Raises:
            ValueError: they are no JSON object.

        """
        labels = orjson.loads(self.labels)
        if not isinstance(labels, dict):
            raise ValueError("labels are no JSON object")  # noqa: TRY004  one error for callers
        return labels


def columns_of(rows: Iterable[AlertRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(ALERTS, rows)


def rows_of(batch: "pa.RecordBatch") -> list[AlertRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(AlertRow, batch)
