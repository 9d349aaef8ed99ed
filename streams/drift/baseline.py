"""Baselines: what proves that an object is as GitOps last applied it.

A Kustomization's object is proven by a reconcile that was watched to its end and that applied all:

- the object's content was last written before the reconcile was first seen to run: Flux applied the whole object since
  and found nothing to change in its fields; or
- it was last written during the reconcile, and by Flux itself, as managedFields tell (its entry's time moved or the
  entry grew, and no one else's is newer).

The object as it then is, with its managedFields, is the baseline: what Flux's `Apply` entry names is Git's, with those
values. What Flux leaves alone (an object that opts out, or one marked by hand) proves nothing.

Rows of different kinds come from different watches: what was written when is told by resourceVersion
(`streams.drift.order`). An object's row that comes after the end of the reconcile within which Flux wrote it is proven
by that one. So an object that had drifted, and that its owner's reconcile seems to have left as it is, is not adopted
before the row of a correction has had time to come. A first proof is taken back where the agent tells afterwards that
it may have missed something meanwhile.
"""

import msgspec

from abdrift.facts.drift import DriftKind
from streams.drift import documents, order, references
from streams.drift.cells import ObjectCell, OwnerCell
from streams.drift.work import Work

SETTLING_MS = 1_000
"""How long after a reconcile that proved something new a late row may still come, before `in-sync` is said."""
ADOPTING_MS = 2_000
"""How long the correction of a drifted object may come after the reconcile that made it has been told to have ended."""
_LEFT_ALONE = {"ssa-ignore", "ssa-if-not-present", documents.DISABLED_BY_HAND}


def settle(work: Work, cluster: str, owner: OwnerCell, *, success: bool) -> tuple[str, ...]:
    """Prove the owner's objects at a reconcile's end; return those that were not proven before.

    Of a reconcile that failed, only what Flux is seen to have written is proven.
    """
    fresh = []
    for oid in owner.objects:
        cell = work.object(cluster, oid)
        if cell is None or not cell.present:
            work.objects[cluster, oid] = None
            continue
        if is_at_baseline(cell):
            continue
        work.objects[cluster, oid] = None
        if _LEFT_ALONE & set(cell.traits):
            continue
        before, within = _written(owner, cell)
        if success and before and work.finding(cluster, DriftKind.CHANGED, oid):
            due_ms = work.now_ms + ADOPTING_MS
            work.wake(cluster, f"object.adopted|{oid}", due_ms)
            work.put_object(cluster, msgspec.structs.replace(cell, adopt_at_ms=due_ms))
        elif (success and before) or (within and cell.writer == "flux"):
            if not cell.proven:
                fresh.append(oid)
            work.put_object(cluster, proven(cell))
    return tuple(fresh)


def _written(owner: OwnerCell, cell: ObjectCell) -> tuple[bool, bool]:
    """Return whether an object was last written before the reconcile that has ended, and whether within it."""
    if cell.written_version < 0 or owner.version < 0 or not owner.reconciles:
        before = cell.written_row < owner.started_row
        return before, not before
    last = owner.reconciles[-1]
    return cell.written_version <= last.started, last.started < cell.written_version < last.ended


def doubt(work: Work, cluster: str, owner: OwnerCell, kind: str, gap_since_ms: int) -> None:
    """Take back first proofs by a reconcile that fell into a gap in the sight of the owner's or an object's kind."""
    if owner.settled_observed_ms < gap_since_ms:
        return
    everything = references.kind_of(owner.ref.id) == kind
    for oid in owner.fresh:
        cell = work.object(cluster, oid)
        if cell is not None and cell.present and (everything or references.kind_of(oid) == kind):
            work.put_object(cluster, unproven(cell))
            work.objects[cluster, oid] = None


def is_at_baseline(cell: ObjectCell) -> bool:
    """Whether the object is, byte for byte, as it was last proven."""
    return cell.proven and not cell.baseline and cell.baseline_uid == cell.ref.uid


def proven(cell: ObjectCell) -> ObjectCell:
    """Return the cell with the live object as its baseline."""
    return msgspec.structs.replace(cell, proven=True, baseline=b"", baseline_uid=cell.ref.uid, adopt_at_ms=0)


def unproven(cell: ObjectCell) -> ObjectCell:
    """Return the cell with the live object at hand, and no proof of it."""
    return msgspec.structs.replace(cell, proven=False, baseline=b"", baseline_uid=cell.ref.uid)


def adopt_late(work: Work, cluster: str, oid: str) -> None:
    """Take an object as proven where its row belongs to a reconcile that has already been told to have ended."""
    cell = work.object(cluster, oid)
    owner = work.owner(cluster, cell.owner) if cell and cell.owner else None
    if cell is None or owner is None or cell.writer != "flux" or _LEFT_ALONE & set(cell.traits):
        return
    if order.moment(owner, cell.written_version, cell.written_ms, work.now_ms) is order.Moment.ENDED:
        work.put_object(cluster, proven(cell))


def adopted(work: Work, cluster: str, cell: ObjectCell) -> ObjectCell:
    """Return the cell with what a reconcile left as its baseline, where no correction came of it in time."""
    if not cell.adopt_at_ms or work.now_ms < cell.adopt_at_ms:
        return cell
    cell = proven(cell)
    work.put_object(cluster, cell)
    return cell
