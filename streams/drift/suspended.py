"""`suspended`: someone paused it, for longer than allowed."""

import msgspec

from abdrift.facts.drift import Corrects, DriftKind
from abdrift.flux import KUSTOMIZE_CONTROLLER
from streams.drift import documents, managers, references
from streams.drift.cells import ObjectCell, OwnerCell, SourceCell
from streams.drift.compare.managed_fields import entries_of
from streams.drift.work import Draft, Work


def judge_owner(work: Work, cluster: str, owner: OwnerCell) -> OwnerCell:
    """Judge a Kustomization or HelmRelease; return it with since when it is suspended."""
    since_ms = _since(work, owner.suspended_since_ms, suspended=owner.exists and owner.view.suspended)
    draft = Draft(
        cluster=cluster,
        kind=DriftKind.SUSPENDED,
        ref=owner.ref,
        owner=owner.ref,
        message=f"{references.spoken(owner.ref)} is suspended: nothing is applied or corrected",
        managers=(owner.view.suspended_by,) if owner.view.suspended_by else (),
        corrects=Corrects.NO,
        corrects_reason="the owner is suspended",
        held_until_ms=owner.view.hold_until_ms,
        changed_ms=owner.view.suspended_at_ms,
        applied_revision=owner.view.applied,
        owner_generation=owner.view.generation,
        kinds=(references.kind_of(owner.ref.id),),
    )
    _tell(work, draft, since_ms, f"owner.suspended|{owner.ref.id}")
    return msgspec.structs.replace(owner, suspended_since_ms=since_ms)


def judge_source(work: Work, cluster: str, source: SourceCell) -> SourceCell:
    """Judge a source; return it with since when it is suspended."""
    since_ms = _since(work, source.suspended_since_ms, suspended=source.exists and source.suspended)
    draft = Draft(
        cluster=cluster,
        kind=DriftKind.SUSPENDED,
        ref=source.ref,
        owner=None,
        message=f"{references.spoken(source.ref)} is suspended: nothing new is fetched",
        managers=(source.suspended_by,) if source.suspended_by else (),
        corrects=Corrects.NO,
        corrects_reason="the source is suspended",
        held_until_ms=source.hold_until_ms,
        changed_ms=source.suspended_at_ms,
        artifact_revision=source.artifact,
        kinds=(references.kind_of(source.ref.id),),
    )
    _tell(work, draft, since_ms, f"source.suspended|{source.ref.id}")
    return msgspec.structs.replace(source, suspended_since_ms=since_ms)


def judge_object(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell | None) -> None:
    """Judge a live object that someone took out of Flux's hands: Flux then says Ready and never corrects it.

    Where Git itself says so, it is meant.
    """
    oid = cell.ref.id
    if owner is None or not cell.present or documents.DISABLED_BY_HAND not in cell.traits or not cell.live:
        if work.finding(cluster, DriftKind.SUSPENDED, oid) and not references.is_owner(cell.ref):
            work.close(cluster, DriftKind.SUSPENDED, oid, "corrected" if cell.present and owner else "gone")
        return
    if owner.ref.group != references.KUSTOMIZE_GROUP or references.is_owner(cell.ref) or references.is_source(cell.ref):
        return
    by, changed_ms = _marker(documents.load(cell.live))
    if by == KUSTOMIZE_CONTROLLER:
        return
    draft = Draft(
        cluster=cluster,
        kind=DriftKind.SUSPENDED,
        ref=cell.ref,
        owner=owner.ref,
        message=f"{references.spoken(cell.ref)} says {documents.KUSTOMIZE_RECONCILE}: disabled: Flux leaves it alone",
        managers=(by,) if by else (),
        corrects=Corrects.NO,
        corrects_reason="the live object says so itself",
        held_until_ms=max(cell.hold_until_ms, owner.view.hold_until_ms),
        changed_ms=changed_ms,
        observed_ms=cell.written_observed_ms,
        applied_revision=owner.view.applied,
        owner_generation=owner.view.generation,
        kinds=(references.kind_of(oid), references.kind_of(owner.ref.id)),
    )
    # The mark was written at the earliest when the object was last written: a later write prolongs the allowance.
    _tell(work, draft, cell.written_ms, f"object.suspended|{oid}")


def _marker(document: dict[str, object]) -> tuple[str, int | None]:
    """Return whose the mark is, and when it was set."""
    for part in ("annotations", "labels"):
        names = ("f:metadata", f"f:{part}", f"f:{documents.KUSTOMIZE_RECONCILE}")
        for entry in entries_of(document):
            if names in set(entry.fields.leaves()):
                return entry.manager, managers.time_ms(entry)
    return "", None


def _since(work: Work, since_ms: int, *, suspended: bool) -> int:
    if not suspended:
        return 0
    return since_ms or work.now_ms


def _tell(work: Work, draft: Draft, since_ms: int, again: str) -> None:
    if not since_ms:
        work.close(draft.cluster, draft.kind, draft.ref.id, "corrected")
        return
    due_ms = since_ms + int(work.policy.allowance.suspended_after_seconds * 1000)
    if work.now_ms >= due_ms or work.finding(draft.cluster, draft.kind, draft.ref.id):
        work.report(draft)
    else:
        work.wake(draft.cluster, again, due_ms)
