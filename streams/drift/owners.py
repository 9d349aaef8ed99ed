"""Kustomizations and HelmReleases: their reconciles as seen from their rows, and what their inventories claim."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from abdrift.signals.objects import ObjectRow, Op
from streams.drift import activity, baseline, documents, order, orphaned, references, sources, views
from streams.drift.cells import ObjectCell, OwnerCell, OwnerView, Ref
from streams.drift.work import Work

SETTLED_STATES = ("proven", "exempt")


def absorb(work: Work, row: ObjectRow, ref: Ref, document: Mapping[str, Any]) -> None:
    """Take an owner's row in.

    Raises:
        ValueError: its inventory can't be read.

    """
    cluster = row.cluster
    view = views.of_owner(ref, document)
    before = work.owner(cluster, ref.id) or OwnerCell(ref=ref)
    number = work.cluster(cluster).row
    owner = msgspec.structs.replace(before, ref=ref, view=view, exists=True, seen_row=number)
    if not before.exists:
        _enlist(work, cluster, ref.id)
    if before.view.source != view.source or not before.exists:
        sources.follow(work, cluster, ref.id, before.view.source, view.source)
    watched = row.op != Op.LISTED and before.exists and before.ref.uid == ref.uid
    owner = _started(before, owner, number) if watched else msgspec.structs.replace(owner, started_row=0)
    owner = order.noted(before, owner, order.version_of(row), watched=watched)
    owner = activity.pending(work, cluster, owner)
    work.put_owner(cluster, owner)
    if view.inventory is not None:
        claim(work, cluster, ref.id, view.inventory)
    _conclude(work, row, before, watched=watched)
    work.owners[cluster, ref.id] = None


def _started(before: OwnerCell, owner: OwnerCell, number: int) -> OwnerCell:
    """Return the owner with note taken of where its reconcile began, as far as rows tell.

    A reconcile of which only the end is seen began after the owner's previous row.
    """
    if owner.view.phase == "applying" and before.view.phase != "applying":
        return msgspec.structs.replace(owner, started_row=number)
    if owner.view.mark != before.view.mark and before.view.phase == "idle":
        return msgspec.structs.replace(owner, started_row=before.seen_row)
    return owner


def _conclude(work: Work, row: ObjectRow, before: OwnerCell, *, watched: bool) -> None:
    """Settle baselines where a reconcile has ended, and have judged what waited for that."""
    cluster, oid = row.cluster, before.ref.id
    owner = work.owner(cluster, oid)
    assert owner is not None
    if not watched:
        if before.exists and before.view.applied != owner.view.applied:
            _disprove(work, cluster, owner)
    elif owner.started_row and _has_ended(before.view, owner.view):
        success = _has_applied(owner.view)
        fresh = baseline.settle(work, cluster, owner, success=success)
        if success:
            owner = msgspec.structs.replace(
                owner, settled_observed_ms=row.observed_ms, settled_ms=work.now_ms, fresh=fresh
            )
            if fresh:
                owner = msgspec.structs.replace(owner, settling_until_ms=work.now_ms + baseline.SETTLING_MS)
                work.wake(cluster, f"owner.settling|{oid}", work.now_ms + baseline.SETTLING_MS)
            work.put_owner(cluster, owner)
    judge_unsettled(work, cluster, owner)


def absorb_read(work: Work, row: ObjectRow) -> None:
    """Take in what the agent found when it read an owner.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    owner = work.owner(row.cluster, references.of_row(row).id)
    if owner is not None and owner.exists:
        owner = order.read(row, owner)
        work.put_owner(row.cluster, owner)
        judge_unsettled(work, row.cluster, owner)


def _has_ended(before: OwnerView, view: OwnerView) -> bool:
    if view.phase == "applying":
        return False
    return before.phase == "applying" or view.mark != before.mark


def _has_applied(view: OwnerView) -> bool:
    """Whether the reconcile that ended, or now checks health, applied everything."""
    if view.phase == "checking" or view.reason == "HealthCheckFailed":
        return True
    return view.ready is True and view.generation == view.observed_generation


def _disprove(work: Work, cluster: str, owner: OwnerCell) -> None:
    """Give up all baselines: another revision was applied while nobody watched."""
    for oid in owner.objects:
        cell = work.object(cluster, oid)
        if cell is not None and cell.present and cell.proven:
            work.put_object(cluster, baseline.unproven(cell))
        work.objects[cluster, oid] = None


def judge_unsettled(work: Work, cluster: str, owner: OwnerCell) -> None:
    """Have judged what is not known to be in order, and what may be an orphan."""
    for oid, state in owner.objects.items():
        if state not in SETTLED_STATES:
            work.objects[cluster, oid] = None
    for oid in orphaned.labelled(work, cluster, owner.ref.id):
        work.objects[cluster, oid] = None


def claim(work: Work, cluster: str, owner_id: str, entries: Iterable[tuple[str, str]]) -> None:
    """Take an inventory in: what it names is the owner's, what it no longer names is not.

    An object that is marked by hand to be left alone leaves the inventory with the first reconcile that skips it. It is
    the owner's all the same: a reconcile takes it back as soon as the mark is gone.
    """
    owner = work.owner(cluster, owner_id)
    assert owner is not None
    named = dict(entries)
    named |= {oid: "" for oid in owner.objects if oid not in named and _is_marked(work.object(cluster, oid), owner_id)}
    objects = {oid: owner.objects.get(oid, "unknown") for oid in named}
    holds = {oid: until_ms for oid, until_ms in owner.holds.items() if oid in named}
    for oid, version in named.items():
        if oid in owner.objects:
            continue
        cell = work.object(cluster, oid) or ObjectCell(ref=references.of_id(oid, version))
        claimed = msgspec.structs.replace(cell, owner=owner_id, released_ms=0, gone_ms=cell.gone_ms or work.now_ms)
        work.put_object(cluster, claimed)
        orphaned.note(work, cluster, cell.labelled, cell, claimed=True)
        work.objects[cluster, oid] = None
    _release(work, cluster, owner_id, set(owner.objects) - set(named))
    seen = work.cluster(cluster)
    counted = seen.inventoried + len(objects) - len(owner.objects)
    work.put_cluster(cluster, msgspec.structs.replace(seen, inventoried=counted))
    if counted != seen.inventoried:
        work.inventories[cluster] = None
    if objects != owner.objects or not owner.known:
        work.put_owner(cluster, msgspec.structs.replace(owner, objects=objects, holds=holds, known=True))
        for oid in orphaned.labelled(work, cluster, owner_id):
            work.objects[cluster, oid] = None


def _is_marked(cell: ObjectCell | None, owner_id: str) -> bool:
    return bool(
        cell and cell.present and cell.labelled == owner_id and documents.DISABLED_BY_HAND in cell.traits and cell.owner
    )


def _release(work: Work, cluster: str, owner_id: str, gone: set[str]) -> None:
    for oid in sorted(gone):
        cell = work.object(cluster, oid)
        if cell is None or cell.owner != owner_id:
            continue
        released = msgspec.structs.replace(
            cell, owner="", proven=False, baseline=b"", desired=b"", released_ms=work.now_ms
        )
        work.put_object(cluster, released)
        orphaned.note(work, cluster, released.labelled, released)
        work.objects[cluster, oid] = None


def absorb_manifest(work: Work, row: ObjectRow, document: Mapping[str, Any]) -> None:
    """Take in what a HelmRelease's deployed manifest says, decoded by the agent.

    `row` names the HelmRelease's release: `document` holds release, storageNamespace, version, status, objects and
    error.

    Raises:
        ValueError: it says neither objects nor an error.

    """
    cluster = row.cluster
    owner_id = references.object_id(references.HELM_GROUP, "HelmRelease", row.namespace, row.name)
    owner = work.owner(cluster, owner_id) or OwnerCell(ref=references.of_id(owner_id, "v2"))
    error = str(document.get("error") or "")
    listed = document.get("objects")
    if error or not isinstance(listed, list):
        if not error:
            raise ValueError("a HelmManifest has neither objects nor an error")
        work.put_owner(cluster, msgspec.structs.replace(owner, manifest_error=error, manifest_version=0))
        judge_all(work, cluster, owner_id)
        return
    version = int(document.get("version") or 0)
    work.put_owner(cluster, msgspec.structs.replace(owner, manifest_error="", manifest_version=version))
    desired = {}
    for each in listed:
        ref = references.of_document(each)
        desired[ref.id] = (ref, each)
    if owner.view.inventory is None:
        claim(work, cluster, owner_id, ((oid, ref.version) for oid, (ref, _) in desired.items()))
    for oid, (_, wanted) in desired.items():
        cell = work.object(cluster, oid)
        if cell is not None and cell.owner == owner_id:
            work.put_object(cluster, msgspec.structs.replace(cell, desired=documents.dump(wanted)))
    judge_all(work, cluster, owner_id)


def judge_all(work: Work, cluster: str, owner_id: str) -> None:
    """Have all of an owner's objects judged again."""
    owner = work.owner(cluster, owner_id)
    for oid in owner.objects if owner else ():
        work.objects[cluster, oid] = None
    work.owners[cluster, owner_id] = None
    work.verdicts[cluster, owner_id] = None


def vanish(work: Work, cluster: str, owner_id: str) -> None:
    """Note that an owner is gone: it owns nothing any more."""
    owner = work.owner(cluster, owner_id)
    if owner is None or not owner.exists:
        return
    sources.follow(work, cluster, owner_id, owner.view.source, "")
    _release(work, cluster, owner_id, set(owner.objects))
    cell = work.cluster(cluster)
    work.put_cluster(
        cluster,
        msgspec.structs.replace(
            cell,
            owners=tuple(each for each in cell.owners if each != owner_id),
            inventoried=cell.inventoried - len(owner.objects),
        ),
    )
    gone = msgspec.structs.replace(
        owner, exists=False, objects={}, known=False, manifest_version=0, started_row=0, reconciles=()
    )
    work.put_owner(cluster, gone)
    work.owners[cluster, owner_id] = None


def _enlist(work: Work, cluster: str, owner_id: str) -> None:
    cell = work.cluster(cluster)
    if owner_id not in cell.owners:
        work.put_cluster(cluster, msgspec.structs.replace(cell, owners=(*cell.owners, owner_id)))
