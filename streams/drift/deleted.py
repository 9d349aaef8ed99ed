"""`deleted`: in the inventory and not in the cluster, or made anew under another UID by someone other than Flux.

An object is judged gone only on a synced watch and when its owner was idle, since Flux prunes before it writes the
inventory: what went within a reconcile is held to be its doing until the inventory has had time to follow. More than a
tenth of a cluster's inventory gone at once says more about the sight than about the objects: it is unknown, no finding
is opened (those just opened are closed as superseded), and the owners' verdicts say `mass-deletion`. The hold ends by
itself when no more than a tenth is missing: the objects are back, or their owners' inventories no longer name them.
"""

import msgspec

from abdrift.facts.drift import DriftKind
from streams.drift import activity, corrections, ignores, order, references
from streams.drift.cells import ClusterCell, ObjectCell, OwnerCell
from streams.drift.work import Draft, Work

MASS_SHARE = 10
"""One in so many."""
MASS_MINIMUM = 3
"""Fewer are never a mass, however small the inventory."""
AT_ONCE_MS = 60_000
UNSEEN_GRACE_MS = 2_000
"""How long the row of an object may come after that of the inventory that names it first."""
PRUNED_GRACE_MS = 2_000
"""How long the inventory may come after the end of the reconcile that pruned: Flux writes its status in parts."""


def judge(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell) -> str:
    """Judge an inventoried object that is not there, or not known to be; return its state."""
    oid = cell.ref.id
    seen = work.cluster(cluster)
    watch = seen.watches.get(references.kind_of(oid))
    if cell.present is None and (watch is None or not watch.synced or watch.selector):
        return "unknown"
    due_ms = _due_ms(work, cell, owner)
    if due_ms is None:
        return "settling"
    if work.now_ms < due_ms:
        work.wake(cluster, f"object.gone|{oid}", due_ms)
        return "settling"
    miss(work, cluster, oid, cell.gone_ms)
    if work.cluster(cluster).held_since_ms:
        work.close(cluster, DriftKind.DELETED, oid, "superseded")
        return "missing"
    work.close(cluster, DriftKind.CHANGED, oid, "superseded")
    allowed_ms = int(work.policy.allowance.deleted_after_seconds * 1000)
    if work.now_ms < cell.gone_ms + allowed_ms:
        work.wake(cluster, f"object.deleted|{oid}", cell.gone_ms + allowed_ms)
        return "missing"
    if ignores.Ignores(work.policy.ignore, cell.ref).everything:
        work.close(cluster, DriftKind.DELETED, oid, "exempt")
        return "ignored"
    work.report(
        _draft(
            work,
            cluster,
            cell,
            owner,
            f"{references.spoken(cell.ref)} is in the inventory of "
            f"{references.spoken(owner.ref)} and not in the cluster",
        )
    )
    return "missing"


def _due_ms(work: Work, cell: ObjectCell, owner: OwnerCell) -> int | None:
    """Return when an absence is to be believed; None while the owner may be the one that makes it."""
    if cell.present is None:
        return None if activity.is_busy(owner, work.now_ms) else cell.gone_ms + UNSEEN_GRACE_MS
    match order.moment(owner, cell.written_version, cell.gone_ms, work.now_ms):
        case order.Moment.RUNNING:
            return None
        case order.Moment.UNKNOWN:
            return cell.gone_ms + order.READ_PATIENCE_MS
        case order.Moment.ENDED:
            return max(cell.gone_ms, owner.settled_ms) + PRUNED_GRACE_MS
        case order.Moment.IDLE:
            return work.now_ms


def judge_recreated(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell) -> str:
    """Judge an object that is there; return its state where it is another than was proven, made by someone else."""
    back(work, cluster, cell.ref.id)
    if not cell.proven or cell.baseline_uid in ("", cell.ref.uid) or cell.writer == "flux":
        work.close(cluster, DriftKind.DELETED, cell.ref.id, "corrected")
        return ""
    if order.moment(owner, cell.written_version, cell.written_ms, work.now_ms) is order.Moment.RUNNING:
        return "settling"
    work.report(
        _draft(work, cluster, cell, owner, f"{references.spoken(cell.ref)} was deleted and made anew, not by Flux")
    )
    return "drifted"


def _draft(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell, message: str) -> Draft:
    corrects, reason = corrections.of_object(owner, cell)
    source = work.source(cluster, owner.view.source)
    return Draft(
        cluster=cluster,
        kind=DriftKind.DELETED,
        ref=cell.ref,
        owner=owner.ref,
        message=message,
        corrects=corrects,
        corrects_reason=reason,
        held_until_ms=max(cell.hold_until_ms, owner.view.hold_until_ms),
        observed_ms=cell.written_observed_ms,
        applied_revision=owner.view.applied,
        artifact_revision=source.artifact if source else "",
        owner_generation=owner.view.generation,
        kinds=(references.kind_of(cell.ref.id), references.kind_of(owner.ref.id)),
    )


def miss(work: Work, cluster: str, oid: str, gone_ms: int) -> None:
    """Count an object as missing, and hold where too many are."""
    cell = work.cluster(cluster)
    if oid not in cell.missing:
        cell = msgspec.structs.replace(cell, missing={**cell.missing, oid: gone_ms})
        work.put_cluster(cluster, cell)
    weigh(work, cluster)


def back(work: Work, cluster: str, oid: str) -> None:
    """Count an object as missing no more."""
    cell = work.cluster(cluster)
    if oid in cell.missing:
        missing = {key: since for key, since in cell.missing.items() if key != oid}
        work.put_cluster(cluster, msgspec.structs.replace(cell, missing=missing))
        weigh(work, cluster)


def weigh(work: Work, cluster: str) -> None:
    """Begin or end the hold, and have all that is missing judged again where it did."""
    cell = work.cluster(cluster)
    mass = _is_mass(cell, work.now_ms) if not cell.held_since_ms else _is_many(len(cell.missing), cell.inventoried)
    if mass == bool(cell.held_since_ms):
        return
    work.put_cluster(cluster, msgspec.structs.replace(cell, held_since_ms=work.now_ms if mass else 0))
    for oid in cell.missing:
        work.objects[cluster, oid] = None
    for owner_id in cell.owners:
        work.verdicts[cluster, owner_id] = None
    work.inventories[cluster] = None


def _is_mass(cell: ClusterCell, now_ms: int) -> bool:
    return _is_many(sum(1 for since in cell.missing.values() if since > now_ms - AT_ONCE_MS), cell.inventoried)


def _is_many(missing: int, inventoried: int) -> bool:
    return missing >= MASS_MINIMUM and missing * MASS_SHARE > inventoried


def is_held(cell: ClusterCell, owner: OwnerCell) -> bool:
    """Whether the hold concerns an owner."""
    return bool(cell.held_since_ms) and any(oid in owner.objects for oid in cell.missing)
