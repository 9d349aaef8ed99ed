"""The `objects` signal: Kubernetes objects as an agent saw them, what it says of its own sight, and remote Git heads.

A row is an object (`ADDED`, `MODIFIED`, `DELETED`, `LISTED`) or a word about the evidence:

- `SYNCED`: a list of one kind is complete. `detail` holds `SyncDetail`. Objects of that kind that this agent epoch has
  neither listed nor added are gone. A later list of the same epoch emits only what was missed, deletions included.
- `LOST`: one kind cannot be seen. `detail` holds `LostDetail`; what rests on it is unknown until the next `SYNCED`.
  Of the pseudo kind `CLUSTER` it says that the whole cluster is out of reach, which the next `HEARTBEAT` ends.
- `HEARTBEAT`: the agent lives and its watches are open. `detail` holds `HeartbeatDetail`.
- `READ`: an owner (Kustomization, HelmRelease) as the agent read it after an object of it had been written;
  `resource_version` is the owner's, `detail` holds `ReadDetail`. So a reader knows whether it has all of the owner's
  rows that came before that write: rows of different kinds come from different watches, which nothing orders.
- `INVENTORY`: somebody declares that the cluster is there, with its labels, or takes that back. `detail` holds
  `InventoryDetail`. It says nothing of how the cluster is.
- `REMOTE`: the head of a remote Git repository. `cluster` is empty, since it is said once for all that follow it, to
  every partition; `name` is the URL; `detail` holds `RemoteDetail`.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import orjson

from abdrift.signals import schema
from abdrift.signals.schema import TEXT, Column, Signal, Type

if TYPE_CHECKING:
    import pyarrow as pa

OBJECTS = Signal(
    name="objects",
    version=1,
    event_time_column="observed_ms",
    columns=(
        Column("cluster", TEXT),
        Column("op", TEXT),
        Column("group", TEXT),
        Column("version", TEXT),
        Column("kind", TEXT),
        Column("namespace", TEXT),
        Column("name", Type.UTF8),
        Column("uid", Type.UTF8),
        Column("resource_version", Type.UTF8),
        Column("observed_ms", Type.INT64),
        Column("object", Type.BINARY, required=False, default=b""),
        Column("detail", Type.BINARY, required=False, default=b""),
    ),
)


CLUSTER = ("abdrift.dev", "Cluster")
"""Group and kind by which a collector says that a cluster as a whole is out of its reach."""


class Op(StrEnum):
    """What a row says."""

    LISTED = "listed"
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    SYNCED = "synced"
    LOST = "lost"
    HEARTBEAT = "heartbeat"
    READ = "read"
    INVENTORY = "inventory"
    REMOTE = "remote"


class ObjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `observed_ms` is when the collector received it; `object` is masked, projected JSON.

    `resource_version` of a deletion is the deletion's own, empty where only its outcome was seen.
    """

    cluster: str
    op: str
    group: str = ""
    version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    observed_ms: int
    object: bytes = b""
    detail: bytes = b""

    def parsed(self) -> dict[str, Any]:
        """Return the object.

        Raises:
            ValueError: it is no JSON object.

        """
        value = orjson.loads(self.object)
        if not isinstance(value, dict):
            raise ValueError(f"object is {type(value).__name__}, not a JSON object")  # noqa: TRY004  one error for callers
        return value


class SyncDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished list says of its kind. A gap lasts from the last sure moment before it to this row."""

    began_ms: int
    """When the list request was sent: what is older and was not listed is gone."""
    objects: int
    gap_since_ms: int | None = None
    gap_reason: str | None = None
    selector: str = ""
    """The label selector the list was made with."""


class LostDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why a kind cannot be seen: forbidden, not-found (no such CRD), unreachable, expired."""

    reason: str
    message: str
    since_ms: int


class ReadDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What reading an owner answers for."""

    as_of: int
    """Writes up to this resourceVersion came before the read."""


class HeartbeatDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of itself and its cluster."""

    cluster_uid: str
    interval_ms: int
    """The next heartbeat comes within this time; silence beyond it means unknown."""
    started_ms: int
    labels: dict[str, str] = {}
    kubernetes_version: str = ""
    watches: dict[str, int] = {}
    """How many list-watches there are, by state: listing, open, broken, lost."""
    dropped: dict[str, int] = {}
    """Rows not sent, by reason, since the agent started."""
    spooled_bytes: int = 0
    """What waits on the agent's disk and comes before this heartbeat, so that it too is late."""
    spooled_ms: int = 0
    """For how long the oldest of it has waited."""


class InventoryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What is declared of a cluster, whole; each such row takes the place of the one before."""

    labels: dict[str, str] = {}
    """site, region, environment, customer, wave, node-kinds and others. They stand before an agent's own."""
    withdrawn: bool = False
    """No inventory names the cluster any more. Once it is silent, too, it is forgotten."""
    reason: str = ""
    """Why it was withdrawn, for people."""


class RemoteDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The heads of a remote, or why they could not be asked."""

    heads: dict[str, "RemoteHead"] = {}
    """By full ref, e.g. refs/heads/main."""
    error: str | None = None


class RemoteHead(msgspec.Struct, frozen=True, kw_only=True):
    """One ref's commit."""

    sha: str
    author: str | None = None
    message: str | None = None
    time_ms: int | None = None


D = TypeVar("D", bound=msgspec.Struct)


def decode_detail(row: ObjectRow, kind: type[D]) -> D:
    """Return the row's detail.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it is not of that kind.

    """
    return msgspec.json.decode(row.detail, type=kind)


def encode_detail(detail: msgspec.Struct) -> bytes:
    """Return the bytes of a row's `detail`."""
    return msgspec.json.encode(detail)


def columns_of(rows: Iterable[ObjectRow]) -> dict[str, list[Any]]:
    """Return the rows' values by column, as `abdrift.frames.encode` takes them."""
    return schema.columns(OBJECTS, rows)


def rows_of(batch: "pa.RecordBatch") -> list[ObjectRow]:
    """Return a decoded frame's rows, in order."""
    return schema.rows(ObjectRow, batch)
