"""What an agent says of its own sight: heartbeats, finished lists, kinds it can't see, and its silence."""

import msgspec

from abdrift.signals.objects import CLUSTER, HeartbeatDetail, LostDetail, ObjectRow, SyncDetail, decode_detail
from streams.drift import baseline, leaving, objects, references
from streams.drift.cells import ClusterCell, KindCell, Watch
from streams.drift.work import Work

RESTARTED = "agent-restarted"
"""The reason of a gap between one agent and the next."""
_WHOLE = "/".join(CLUSTER)
_SLACK = 0.5
"""By what part of the promised interval a heartbeat may be late: it has a queue and a broker to pass."""


def heartbeat(work: Work, row: ObjectRow) -> None:
    """Take a heartbeat in.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    told = decode_detail(row, HeartbeatDetail)
    cell = work.cluster(row.cluster)
    first = not cell.heartbeat_ms
    watches = {k: w for k, w in cell.watches.items() if k != _WHOLE}
    if told.started_ms != cell.started_ms:  # a new agent has seen only what it has listed itself
        watches = {k: _of_new_agent(w, cell, told.started_ms) for k, w in watches.items()}
    work.put_cluster(
        row.cluster,
        msgspec.structs.replace(
            cell,
            uid=told.cluster_uid,
            labels=told.labels,
            kubernetes_version=told.kubernetes_version,
            heartbeat_ms=work.now_ms,
            observed_ms=row.observed_ms,
            interval_ms=told.interval_ms,
            started_ms=told.started_ms,
            silent=False,
            watches=watches,
        ),
    )
    work.wake(row.cluster, "silence", work.now_ms + _patience_ms(told.interval_ms))
    work.inventories[row.cluster] = None
    if first or cell.silent or watches != cell.watches:
        look_again(work, row.cluster)


def _patience_ms(interval_ms: int) -> int:
    return int(interval_ms * (1 + _SLACK))


def _of_new_agent(watch: Watch, cell: ClusterCell, started_ms: int) -> Watch:
    """Return the watch with the stretch of time that neither the former agent nor this one has seen."""
    listed = watch.began_ms >= started_ms
    in_gap = watch.gap_since_ms is not None and watch.gap_until_ms is None
    if cell.started_ms and not in_gap:
        until_ms = watch.as_of_ms if listed else None
        watch = msgspec.structs.replace(
            watch, gap_since_ms=cell.observed_ms, gap_until_ms=until_ms, gap_reason=RESTARTED
        )
    return watch if listed else msgspec.structs.replace(watch, synced=False)


def silence(work: Work, cluster: str) -> None:
    """Notice that a heartbeat did not come."""
    cell = work.cluster(cluster)
    due_ms = cell.heartbeat_ms + _patience_ms(cell.interval_ms)
    if work.now_ms < due_ms:
        work.wake(cluster, "silence", due_ms)
        return
    work.put_cluster(cluster, msgspec.structs.replace(cell, silent=True))
    leaving.plan(work, cluster)
    work.inventories[cluster] = None
    for oid in cell.owners:
        work.verdicts[cluster, oid] = None


def synced(work: Work, row: ObjectRow) -> None:
    """Take a finished list in: what is older and was not listed is gone.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    told = decode_detail(row, SyncDetail)
    kind = f"{row.group}/{row.kind}"
    cell = work.cluster(row.cluster)
    watch = msgspec.structs.replace(
        cell.watches.get(kind, Watch()),
        synced=True,
        began_ms=told.began_ms,
        as_of_ms=row.observed_ms,
        selector=told.selector,
        lost_reason="",
    )
    if watch.gap_reason == RESTARTED and watch.gap_until_ms is None:
        watch = msgspec.structs.replace(watch, gap_until_ms=row.observed_ms)
    if told.gap_since_ms is not None:
        watch = msgspec.structs.replace(
            watch,
            gap_since_ms=told.gap_since_ms,
            gap_until_ms=row.observed_ms,
            gap_reason=told.gap_reason or "unknown",
        )
    work.put_cluster(row.cluster, msgspec.structs.replace(cell, watches={**cell.watches, kind: watch}))
    if told.gap_since_ms is not None:
        for oid in cell.owners:
            owner = work.owner(row.cluster, oid)
            if owner is not None:
                baseline.doubt(work, row.cluster, owner, kind, told.gap_since_ms)
    for oid in (work.get(f"kind/{row.cluster}/{kind}", KindCell) or KindCell()).ids:
        found = work.object(row.cluster, oid)
        # Within its epoch an agent tells deletions one by one and does not repeat what a new list confirms.
        if found is not None and found.present and found.epoch != work.epoch and found.seen_ms < told.began_ms:
            objects.vanish(work, row.cluster, found, row.observed_ms)
    _look_at_kind(work, row.cluster, kind)
    work.inventories[row.cluster] = None


def lost(work: Work, row: ObjectRow) -> None:
    """Take in that a kind can't be seen.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    told = decode_detail(row, LostDetail)
    kind = f"{row.group}/{row.kind}"
    cell = work.cluster(row.cluster)
    watch = msgspec.structs.replace(
        cell.watches.get(kind, Watch()),
        synced=False,
        lost_reason=told.reason,
        gap_since_ms=told.since_ms,
        gap_until_ms=None,
        gap_reason=told.reason,
    )
    work.put_cluster(row.cluster, msgspec.structs.replace(cell, watches={**cell.watches, kind: watch}))
    _look_at_kind(work, row.cluster, kind)
    work.inventories[row.cluster] = None


def _look_at_kind(work: Work, cluster: str, kind: str) -> None:
    """Have everything judged again that rests on a kind."""
    for oid in work.cluster(cluster).owners:
        owner = work.owner(cluster, oid)
        if owner is None:
            continue
        if references.kind_of(oid) == kind:
            work.owners[cluster, oid] = None
        touched = False
        for each, state in owner.objects.items():
            if references.kind_of(each) == kind:
                touched = True
                if state in ("unknown", "missing"):
                    work.objects[cluster, each] = None
        if touched or references.kind_of(oid) == kind:
            work.verdicts[cluster, oid] = None


def look_again(work: Work, cluster: str) -> None:
    """Have a cluster's owners weighed again, and what was unknown or missing judged again."""
    cell: ClusterCell = work.cluster(cluster)
    for oid in cell.owners:
        owner = work.owner(cluster, oid)
        work.verdicts[cluster, oid] = None
        for each, state in owner.objects.items() if owner else ():
            if state in ("unknown", "missing"):
                work.objects[cluster, each] = None
