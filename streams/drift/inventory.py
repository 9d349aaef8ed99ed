"""Which clusters there are: told once declared or heard of, on change, and of those heard of at most each minute."""

import hashlib

import msgspec

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef
from abdrift.facts.inventory import ClusterInventory, GitSource, LabelContradiction
from abdrift.signals.objects import InventoryDetail, ObjectRow, decode_detail
from abdrift.topics import FLEET_INVENTORY, INVENTORY
from streams.drift import evidence, leaving
from streams.drift.cells import ClusterCell
from streams.drift.work import Work

MINUTE_MS = 60_000
_UNSAID = {"last_seen", "evidence", "inventoried_objects"}


def declare(work: Work, row: ObjectRow) -> None:
    """Take in that a cluster is declared, or is not any more.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    told = decode_detail(row, InventoryDetail)
    declared, withdrawn = (None, told.reason) if told.withdrawn else (told.labels, None)
    cell = msgspec.structs.replace(work.cluster(row.cluster), declared=declared, withdrawn=withdrawn)
    work.put_cluster(row.cluster, cell)
    leaving.plan(work, row.cluster)
    work.inventories[row.cluster] = None


def weigh(work: Work, cluster: str) -> None:
    """Tell what is known of a cluster where it is news, or a minute old."""
    cell = work.cluster(cluster)
    if not cell.heartbeat_ms and cell.declared is None:
        if cell.said:
            work.put_cluster(cluster, msgspec.structs.replace(cell, said=""))
            work.forget(FLEET_INVENTORY, cluster, cluster)
        return
    fact = _inventory(work, cluster, cell)
    text = fact.model_dump_json(exclude=_UNSAID) + str(fact.evidence.complete) + str(cell.silent)
    said = hashlib.sha256(text.encode()).hexdigest()[:16]
    next_heartbeat_ms = work.now_ms + cell.interval_ms // 2  # one that would come too late for the minute is told now
    if said == cell.said and next_heartbeat_ms < cell.said_ms + MINUTE_MS:
        return
    work.put_cluster(cluster, msgspec.structs.replace(cell, said=said, said_ms=work.now_ms))
    work.say(FLEET_INVENTORY, INVENTORY, cluster, cluster, fact)


def _inventory(work: Work, cluster: str, cell: ClusterCell) -> ClusterInventory:
    found = (work.source(cluster, oid) for oid in cell.sources)
    remotes = {(source.url, source.git_ref) for source in found if source and source.url and source.git_ref}
    declared = cell.declared or {}
    return ClusterInventory(
        cluster=ClusterRef(name=cluster, uid=cell.uid or None),
        labels=dict(sorted({**cell.labels, **declared}.items())),
        declared=cell.declared is not None,
        withdrawn=cell.withdrawn,
        contradictions=tuple(
            LabelContradiction(label=label, inventory=value, agent=cell.labels[label])
            for label, value in sorted(declared.items())
            if cell.labels.get(label, value) != value
        ),
        kubernetes_version=cell.kubernetes_version or None,
        git_sources=tuple(GitSource(url=url, ref=ref) for url, ref in sorted(remotes)),
        inventoried_objects=cell.inventoried,
        first_seen=to_datetime(cell.first_seen_ms),
        last_seen=to_datetime(cell.heartbeat_ms) if cell.heartbeat_ms else None,
        evidence=evidence.of_cluster(cluster, cell),
    )
