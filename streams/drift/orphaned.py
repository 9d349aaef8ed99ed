"""`orphaned`: an object that carries an owner's labels and is in no inventory."""

from abdrift.facts.drift import Corrects, DriftKind
from streams.drift import activity, evidence, references
from streams.drift.cells import LabelledCell, ObjectCell, OwnerCell
from streams.drift.work import Draft, Work

_INHERITING = {
    "/Endpoints",
    "/Pod",
    "apps/ControllerRevision",
    "apps/ReplicaSet",
    "discovery.k8s.io/EndpointSlice",
    "source.toolkit.fluxcd.io/HelmChart",
}
"""Kinds whose objects take the labels of what they were made from; helm-controller makes a HelmChart of a release."""
_INTENDED = {"prune-disabled", "controlled", "ssa-if-not-present", "ssa-ignore"}
"""An object that Flux no longer applies leaves the inventory with its first skipped reconcile, and is kept."""
_LABEL_GRACE_MS = 1_000
"""How long the inventory that names an object may come after the object's row."""
_PRUNED_GRACE_MS = 2_000
"""How long the row of an object's deletion may come after that of the inventory that names it no longer."""


def labelled(work: Work, cluster: str, owner_id: str) -> tuple[str, ...]:
    """Return the objects that name an owner by label and that no inventory names."""
    cell = work.get(f"labelled/{cluster}/{owner_id}", LabelledCell)
    return cell.ids if cell else ()


def note(work: Work, cluster: str, before: str, cell: ObjectCell, *, claimed: bool = False) -> None:
    """Keep the list of those that may be orphans. `before` is the owner that the labels named before."""
    oid = cell.ref.id
    named = cell.labelled if cell.present and not cell.owner and not claimed else ""
    for owner_id in dict.fromkeys(each for each in (before, cell.labelled) if each):
        known = labelled(work, cluster, owner_id)
        others = tuple(each for each in known if each != oid)
        ids = (*others, oid) if owner_id == named else others
        if ids != known:
            work.put(f"labelled/{cluster}/{owner_id}", LabelledCell(ids=ids) if ids else None)


def judge(work: Work, cluster: str, cell: ObjectCell) -> None:
    """Judge an object that no inventory names."""
    oid = cell.ref.id
    if not cell.present or not cell.labelled:
        work.close(cluster, DriftKind.ORPHANED, oid, "gone" if not cell.present else "corrected")
        return
    if _INTENDED & set(cell.traits) or references.kind_of(oid) in _INHERITING:
        work.close(cluster, DriftKind.ORPHANED, oid, "exempt")
        return
    owner = work.owner(cluster, cell.labelled)
    if _is_intended(owner, cell):
        work.close(cluster, DriftKind.ORPHANED, oid, "exempt")
        return
    if not _is_known(work, cluster, cell, owner):
        return
    due_ms = cell.written_ms + _LABEL_GRACE_MS
    if cell.released_ms:
        due_ms = max(due_ms, cell.released_ms + _PRUNED_GRACE_MS)
    if work.now_ms < due_ms:
        work.wake(cluster, f"object.orphaned|{oid}", due_ms)
        return
    work.report(_draft(cluster, cell, owner))


def _is_intended(owner: OwnerCell | None, cell: ObjectCell) -> bool:
    """Whether the owner left the object behind as it was told to.

    helm-controller labels the CRDs it installs from a chart, which belong to no release's manifest.
    """
    if references.kind_of(cell.labelled).startswith(references.HELM_GROUP):
        return cell.ref.kind == "CustomResourceDefinition"
    return owner is not None and not owner.exists and owner.view.deletion_policy == "Orphan"


def _is_known(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell | None) -> bool:
    """Whether it is known that no inventory names the object, by an owner that has finished."""
    seen = work.cluster(cluster)
    if evidence.weakness(seen, references.kind_of(cell.labelled)):
        return False
    if owner is None or not owner.exists:
        return True
    return owner.known and not activity.is_busy(owner, work.now_ms) and owner.view.ready is not None


def _draft(cluster: str, cell: ObjectCell, owner: OwnerCell | None) -> Draft:
    named = references.of_id(cell.labelled)
    lives = owner is not None and owner.exists
    why = "whose inventory does not name it" if lives else "which does not exist"
    return Draft(
        cluster=cluster,
        kind=DriftKind.ORPHANED,
        ref=cell.ref,
        owner=owner.ref if owner else named,
        message=f"{references.spoken(cell.ref)} carries the labels of {references.spoken(named)}, {why}",
        corrects=Corrects.NO,
        corrects_reason="a reconcile removes only what the owner's inventory named before",
        held_until_ms=max(cell.hold_until_ms, owner.view.hold_until_ms if owner else 0),
        observed_ms=cell.written_observed_ms,
        applied_revision=owner.view.applied if owner else "",
        kinds=(references.kind_of(cell.ref.id), references.kind_of(cell.labelled)),
    )
