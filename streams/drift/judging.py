"""What an object is judged by: who claims it, how well it is seen, whether it is there, and how it is."""

import msgspec

from abdrift.facts.drift import DriftKind
from streams.drift import alerts, baseline, changed, deleted, evidence, orphaned, references, suspended
from streams.drift.cells import ObjectCell, OwnerCell
from streams.drift.work import Work

_OF_OWNED = (DriftKind.CHANGED, DriftKind.DELETED)


def judge(work: Work, cluster: str, oid: str) -> None:
    """Judge one object, and note its state with its owner."""
    cell = work.object(cluster, oid)
    if cell is None:
        return
    owner = work.owner(cluster, cell.owner) if cell.owner else None
    try:
        _judge(work, cluster, cell, owner)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        # Objects are anyone's JSON: one of a shape that no API server serves must not stop the others' judgement.
        work.refuse("unjudgeable", f"{references.spoken(cell.ref)}: {type(error).__name__}: {error}")
        if owner is not None:
            work.put_owner(cluster, msgspec.structs.replace(owner, objects={**owner.objects, oid: "unknown"}))
    alerts.judge(work, cluster, oid)


def _judge(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell | None) -> None:
    oid = cell.ref.id
    suspended.judge_object(work, cluster, cell, owner)
    if owner is None:
        _judge_unclaimed(work, cluster, cell)
        return
    work.close(cluster, DriftKind.ORPHANED, oid, "corrected")
    cell = baseline.adopted(work, cluster, cell)
    state = _state(work, cluster, cell, owner)
    if owner.objects.get(oid) != state:
        owner = msgspec.structs.replace(owner, objects={**owner.objects, oid: state})
        work.put_owner(cluster, owner)
    if owner.holds.get(oid, 0) != cell.hold_until_ms:
        holds = {**owner.holds, oid: cell.hold_until_ms}
        kept = {key: until_ms for key, until_ms in holds.items() if until_ms and key in owner.objects}
        work.put_owner(cluster, msgspec.structs.replace(owner, holds=kept))


def _judge_unclaimed(work: Work, cluster: str, cell: ObjectCell) -> None:
    oid = cell.ref.id
    deleted.back(work, cluster, oid)
    for kind in _OF_OWNED:
        work.close(cluster, kind, oid, "gone")
    orphaned.judge(work, cluster, cell)
    if not cell.present:
        work.put(f"object/{cluster}/{oid}", None)


def _state(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell) -> str:
    if owner.view.remote:
        return "unknown"
    if evidence.weakness(work.cluster(cluster), references.kind_of(cell.ref.id)) not in ("", "not-synced"):
        return "unknown"
    if not cell.present:
        return deleted.judge(work, cluster, cell, owner)
    if another := deleted.judge_recreated(work, cluster, cell, owner):
        work.close(cluster, DriftKind.CHANGED, cell.ref.id, "superseded")
        return another
    return changed.judge(work, cluster, cell, owner)
