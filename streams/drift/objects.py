"""Objects as they come and go: what is kept of each, who wrote it last, and what has to be judged for it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from abdrift.flux import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER
from abdrift.signals.objects import ObjectRow, Op
from streams.drift import activity, baseline, documents, managers, order, orphaned, owners, references, scalers, sources
from streams.drift.cells import KindCell, ObjectCell, Ref
from streams.drift.compare.managed_fields import entries_of
from streams.drift.work import Work

_NOW = "~"
"""Sorts after every time: a scale has none."""
_UNKEPT = {"/Event", "/Node", "/Endpoints", "coordination.k8s.io/Lease", "events.k8s.io/Event"}
"""Kinds that no inventory names in practice and that change all the time; kept only where one does."""


def absorb(work: Work, row: ObjectRow) -> None:
    """Take an object's row in.

    Raises:
        ValueError: the object is no JSON object, or an owner's inventory can't be read.

    """
    ref = references.of_row(row)
    if row.op == Op.DELETED:
        found = work.object(row.cluster, ref.id)
        if found is not None and found.present:
            vanish(work, row.cluster, found, row.observed_ms, order.version_of(row))
        elif found is not None:
            gone = msgspec.structs.replace(
                found,
                present=False,
                gone_ms=found.gone_ms or work.now_ms,
                written_version=order.version_of(row),
                written_observed_ms=row.observed_ms,
            )
            work.put_object(row.cluster, gone)
            work.objects[row.cluster, ref.id] = None
        return
    document = row.parsed()
    if (ref.group, ref.kind) == (references.MANIFEST_GROUP, references.MANIFEST_KIND):
        owners.absorb_manifest(work, row, document)
        return
    if references.is_owner(ref):
        owners.absorb(work, row, ref, document)
    elif references.is_source(ref):
        sources.absorb(work, row.cluster, ref, document)
    elif ref.kind == scalers.KIND:
        scalers.absorb(work, row.cluster, ref, document)
    _absorb_any(work, row, ref, document)


def _absorb_any(work: Work, row: ObjectRow, ref: Ref, document: Mapping[str, Any]) -> None:
    before = work.object(row.cluster, ref.id)
    traits = documents.traits(document)
    if before is None and ("controlled" in traits or references.kind_of(ref.id) in _UNKEPT):
        return
    slimmed = documents.slim(document)
    live = documents.dump(slimmed)
    cell = before or ObjectCell(ref=ref)
    seen = msgspec.structs.replace(
        cell,
        ref=ref,
        present=True,
        seen_ms=row.observed_ms,
        epoch=work.epoch,
        traits=traits,
        hold_until_ms=documents.hold_until_ms(document),
        labelled=references.owner_by_labels(documents.labels(document)),
        gone_ms=0,
    )
    appeared = before is None or not before.present
    if live == cell.live and not appeared:
        _unchanged(work, row.cluster, cell, seen)
        return
    written = _written(work, row, cell, seen, slimmed)
    work.put_object(row.cluster, msgspec.structs.replace(written, live=live))
    if appeared:
        _enlist(work, row.cluster, ref.id)
    orphaned.note(work, row.cluster, cell.labelled, written)
    baseline.adopt_late(work, row.cluster, ref.id)
    work.objects[row.cluster, ref.id] = None


def _unchanged(work: Work, cluster: str, cell: ObjectCell, seen: ObjectCell) -> None:
    work.put_object(cluster, seen)
    if seen.hold_until_ms != cell.hold_until_ms or seen.traits != cell.traits:
        work.objects[cluster, seen.ref.id] = None


def _written(work: Work, row: ObjectRow, cell: ObjectCell, seen: ObjectCell, slimmed: Mapping[str, Any]) -> ObjectCell:
    """Return the cell with note taken of who changed the content, where that changed."""
    before = documents.load(cell.live) if cell.live else None
    same_uid = cell.ref.uid == row.uid
    if before is not None and same_uid and documents.content(before) == documents.content(slimmed):
        return _keep_baseline(seen, before, slimmed)
    listed_first = before is None and (row.op == Op.LISTED or not _is_watched(work, row))
    writer = "first" if listed_first else writer_of(before if same_uid else None, slimmed)
    return msgspec.structs.replace(
        _keep_baseline(seen, before, slimmed),
        written_version=order.version_of(row),
        written_row=work.cluster(row.cluster).row,
        written_ms=work.now_ms,
        written_observed_ms=row.observed_ms,
        writer=writer,
        adopt_at_ms=0,
    )


def _is_watched(work: Work, row: ObjectRow) -> bool:
    watch = work.cluster(row.cluster).watches.get(f"{row.group}/{row.kind}")
    return bool(watch and watch.synced)


def _keep_baseline(seen: ObjectCell, before: Mapping[str, Any] | None, slimmed: Mapping[str, Any]) -> ObjectCell:
    """Return the cell with its baseline spelled out where the live object leaves it, and folded where it returns."""
    if before is None:
        return msgspec.structs.replace(seen, baseline_uid=seen.baseline_uid or seen.ref.uid)
    last = documents.load(seen.baseline) if seen.baseline else before
    back = (
        seen.ref.uid == seen.baseline_uid
        and documents.content(last) == documents.content(slimmed)
        and _flux_fields(last) == _flux_fields(slimmed)
    )
    return msgspec.structs.replace(seen, baseline=b"" if back else seen.baseline or seen.live)


def _flux_fields(document: Mapping[str, Any]) -> list[Any]:
    found = (managers.applied(document, name) for name in (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER))
    return [entry.fields.tree if entry else None for entry in found]


def writer_of(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """Return who made a change, as managedFields tell: `flux` where its entry moved or grew and no one else's did.

    A removal shrinks Flux's entry and leaves its time alone: that is not Flux.
    """
    flux = next((e for n in (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER) if (e := managers.applied(after, n))), None)
    if flux is None:
        return "flux" if _is_helm_update(before, after) else "other"
    old = managers.applied(before, flux.manager) if before is not None else None
    if old is not None and old.time == flux.time and not flux.fields.difference(old.fields):
        return "other"
    known = {(e.manager, e.operation, e.subresource): e for e in managers.strangers(before or {"metadata": {}})}
    for entry in managers.strangers(after):
        earlier = known.get((entry.manager, entry.operation, entry.subresource))
        moved = earlier is None or earlier.time != entry.time or entry.fields.difference(earlier.fields)
        if moved and (entry.time or _NOW) >= (flux.time or ""):
            return "other"
    return "flux"


def _is_helm_update(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """Whether helm-controller of Flux 2.7, which updates rather than applies, was the last to write."""
    old = {e.time for e in entries_of(before or {}) if e.manager == HELM_CONTROLLER}
    return any(e.manager == HELM_CONTROLLER and e.time not in old for e in entries_of(after))


def _enlist(work: Work, cluster: str, oid: str) -> None:
    key = f"kind/{cluster}/{references.kind_of(oid)}"
    kind = work.get(key, KindCell) or KindCell()
    if oid not in kind.ids:
        work.put(key, KindCell(ids=(*kind.ids, oid)))


def vanish(work: Work, cluster: str, cell: ObjectCell, observed_ms: int, version: int = -1) -> None:
    """Note that an object is gone. `version` is the deletion's resourceVersion, -1 where it was not seen."""
    oid = cell.ref.id
    key = f"kind/{cluster}/{references.kind_of(oid)}"
    kind = work.get(key, KindCell) or KindCell()
    work.put(key, KindCell(ids=tuple(each for each in kind.ids if each != oid)))
    if references.is_owner(cell.ref):
        owners.vanish(work, cluster, oid)
    elif references.is_source(cell.ref):
        sources.vanish(work, cluster, oid)
    elif cell.ref.kind == scalers.KIND:
        scalers.vanish(work, cluster, cell)
    gone = msgspec.structs.replace(
        cell,
        present=False,
        gone_ms=work.now_ms,
        written_version=version,
        written_observed_ms=observed_ms,
        labelled="",
        hold_until_ms=0,
    )
    work.put_object(cluster, gone)
    orphaned.note(work, cluster, cell.labelled, gone)
    work.objects[cluster, oid] = None
    owner = work.owner(cluster, cell.owner) if cell.owner else None
    if owner is not None and not activity.is_busy(owner, work.now_ms):
        missing = {**work.cluster(cluster).missing, oid: work.now_ms}
        work.put_cluster(cluster, msgspec.structs.replace(work.cluster(cluster), missing=missing))
