"""What an agent says, as rows: the one place that knows their shape."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from abdrift.clock import ClockMs
from abdrift.kubeapi import Resource
from abdrift.signals.events import EventRow
from abdrift.signals.objects import (
    HeartbeatDetail,
    LostDetail,
    ObjectRow,
    Op,
    ReadDetail,
    SyncDetail,
    encode_detail,
)
from collectors.framing import Outlet, Spooled
from collectors.kubernetes.discovery import GroupKind, Served

Key = tuple[str, str]
"""Namespace (empty for what is cluster-scoped) and name."""

MANIFEST = Served("HelmManifest", Resource("abdrift.dev", "v1", "helmmanifests"), watchable=False)
"""The pseudo kind under which a release's manifest is reported."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of an object: enough to say that it changed, or which one is gone.

    There are many of them, and none is part of a cycle: the collector need not look at them.
    """

    uid: str
    resource_version: str
    digest: bytes
    applied: bytes = b""
    """A digest of what Flux's controllers own of it, and since when."""


class Reporter:
    """Puts rows of one cluster into an outlet."""

    def __init__(self, cluster: str, outlet: Outlet, clock: ClockMs) -> None:
        self.cluster = cluster
        self._outlet = outlet
        self._clock = clock

    @property
    def dropped(self) -> Counter[str]:
        """Rows that the outlet lost, by reason."""
        return self._outlet.dropped

    @property
    def spooled(self) -> Spooled:
        """What waits on disk before what is reported now."""
        return self._outlet.spooled

    async def object(self, op: Op, served: Served, projected: Mapping[str, Any]) -> None:
        """Report an object, projected and masked."""
        metadata = projected["metadata"]
        key = (str(metadata.get("namespace") or ""), str(metadata["name"]))
        row = self._row(
            op,
            served,
            key,
            uid=str(metadata.get("uid") or ""),
            resource_version=str(metadata.get("resourceVersion") or ""),
            # A manifest's YAML may have numbers for keys, which JSON has not.
            object=orjson.dumps(projected, option=orjson.OPT_NON_STR_KEYS),
        )
        await self._outlet.put(row, urgent=op is not Op.LISTED)

    async def deleted(self, served: Served, key: Key, seen: Seen | None, version: str = "") -> None:
        """Report that an object is gone, by its last known identity; `version` is the deletion's, where it was seen."""
        row = self._row(Op.DELETED, served, key, uid=seen.uid if seen else "", resource_version=version)
        await self._outlet.put(row, urgent=True)

    async def read(self, served: Served, key: Key, version: str, as_of: int) -> None:
        """Report which version of an owner was found after a write to an object of it, at `as_of`."""
        detail = encode_detail(ReadDetail(as_of=as_of))
        row = self._row(Op.READ, served, key, resource_version=version, detail=detail)
        await self._outlet.put(row, urgent=True)

    async def synced(self, served: Served, detail: SyncDetail) -> None:
        """Report that a kind was listed whole."""
        await self._word(Op.SYNCED, served.group_kind, served.resource.version, detail)

    async def lost(self, group_kind: GroupKind, version: str, detail: LostDetail) -> None:
        """Report that a kind cannot be seen."""
        await self._word(Op.LOST, group_kind, version, detail)

    async def heartbeat(self, detail: HeartbeatDetail) -> None:
        """Report that the agent lives and sees."""
        row = ObjectRow(
            cluster=self.cluster, op=Op.HEARTBEAT.value, observed_ms=self._clock(), detail=encode_detail(detail)
        )
        await self._outlet.put(row)

    async def event(self, row: EventRow) -> None:
        """Report a Kubernetes Event."""
        await self._outlet.put(row, urgent=row.type != "Normal")

    async def _word(self, op: Op, group_kind: GroupKind, version: str, detail: SyncDetail | LostDetail) -> None:
        row = ObjectRow(
            cluster=self.cluster,
            op=op.value,
            group=group_kind[0],
            version=version,
            kind=group_kind[1],
            observed_ms=self._clock(),
            detail=encode_detail(detail),
        )
        await self._outlet.put(row, urgent=True)

    def _row(self, op: Op, served: Served, key: Key, **more: Any) -> ObjectRow:
        """Return a row about one object; `more` are further fields of it."""
        return ObjectRow(
            cluster=self.cluster,
            op=op.value,
            group=served.resource.group,
            version=served.resource.version,
            kind=served.kind,
            namespace=key[0],
            name=key[1],
            observed_ms=self._clock(),
            **more,
        )
