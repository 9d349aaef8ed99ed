"""What agents say of themselves: heartbeats, finished lists, kinds they cannot see; and their silence."""

import msgspec

from abdrift.signals.objects import CLUSTER, HeartbeatDetail, InventoryDetail, LostDetail, ObjectRow, SyncDetail
from streams.forgetting import limit_ms
from streams.health import leaving, resources, wholes
from streams.health.cells import Cluster
from streams.health.work import Work

SILENT_AFTER_HEARTBEATS = 3
MIN_INTERVAL_MS, MAX_INTERVAL_MS = 1_000, 3_600_000
"""What an agent may promise: no promise keeps its cluster out of sight for more than three hours."""
MAX_LOST_KINDS = 200
_WHOLE = "/".join(CLUSTER)


def heartbeat(work: Work, row: ObjectRow, detail: HeartbeatDetail) -> None:
    """Take a sign of life."""
    name = row.cluster
    before = work.cluster(name)
    work.put_cluster(
        msgspec.structs.replace(
            before,
            uid=detail.cluster_uid,
            labels=detail.labels,
            heartbeat_ms=max(before.heartbeat_ms, work.now_ms),
            vouched_ms=max(0, min(row.observed_ms, work.now_ms)),
            interval_ms=min(max(detail.interval_ms, MIN_INTERVAL_MS), MAX_INTERVAL_MS),
            silent=False,
            forget_ms=0,
            lost={kind: why for kind, why in before.lost.items() if kind != _WHOLE},
        )
    )
    if before.silent:
        _judge_all(work, name)
    wholes.touch_cluster(work, name)


def declared(work: Work, name: str, detail: InventoryDetail) -> None:
    """Take word that a cluster is in the inventory: it is unknown until somebody sees it, and never absent.

    One that is withdrawn is forgotten: once it is silent, or at once where nobody has ever seen anything of it.
    """
    before = work.cluster(name)
    cluster = msgspec.structs.replace(before, undeclared=False, withdrawn=detail.withdrawn)
    work.put_cluster(_planned(work, cluster))
    if not detail.withdrawn:
        wholes.touch_cluster(work, name)
    elif not before.heartbeat_ms and not any(work.observed(name)):
        leaving.forget(work, name)


def lost(work: Work, row: ObjectRow, detail: LostDetail) -> None:
    """Take word that a kind cannot be seen."""
    cluster = work.cluster(row.cluster)
    kinds = cluster.lost | {f"{row.group}/{row.kind}": detail.reason}
    if len(kinds) > MAX_LOST_KINDS:
        raise ValueError(f"more than {MAX_LOST_KINDS} kinds are lost")
    work.put_cluster(msgspec.structs.replace(cluster, lost=kinds))
    wholes.touch_cluster(work, row.cluster)


def synced(work: Work, row: ObjectRow, detail: SyncDetail) -> None:
    """Take word that a list is complete: what an earlier epoch saw, and this one did not, is out of sight.

    Within its epoch an agent tells deletions one by one, and does not repeat what a later list confirms.
    """
    cluster = work.cluster(row.cluster)
    kinds = {kind: why for kind, why in cluster.lost.items() if kind != f"{row.group}/{row.kind}"}
    work.put_cluster(msgspec.structs.replace(cluster, lost=kinds))
    for key, resource in work.observed(row.cluster):
        of_kind = (resource.group, resource.kind) == (row.group, row.kind)
        if of_kind and resource.epoch != work.epoch and resource.seen_ms < detail.began_ms:
            resources.forget(work, key, resource)
    wholes.touch_cluster(work, row.cluster)


def notice_silence(work: Work, cluster: Cluster) -> None:
    """Call a cluster silent whose heartbeats stay away."""
    limit_ms = cluster.interval_ms * SILENT_AFTER_HEARTBEATS
    if cluster.silent or work.now_ms - cluster.heartbeat_ms <= limit_ms:
        return
    work.put_cluster(_planned(work, msgspec.structs.replace(cluster, silent=True)))
    _judge_all(work, cluster.name)
    wholes.touch_cluster(work, cluster.name)


def _planned(work: Work, cluster: Cluster) -> Cluster:
    """Return a cluster with when it is forgotten, where it is silent and no inventory names it."""
    may_leave = cluster.silent and (cluster.undeclared or cluster.withdrawn)
    forget_ms = work.now_ms + limit_ms(withdrawn=cluster.withdrawn) if may_leave else 0
    return msgspec.structs.replace(cluster, forget_ms=forget_ms)


def _judge_all(work: Work, name: str) -> None:
    for key, resource in work.observed(name):
        resources.judge(work, key, resource)
