"""`changed`: fields differ from what GitOps last applied.

What Git says is the part of the baseline that Flux's `Apply` entry names (or a release's manifest); the comparison
with it is `streams.drift.compare`'s. What others added beside it is found by managedFields. A change that Flux itself
may be making, since it is at work or was a moment ago, waits until it has finished.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from abdrift.facts.drift import Certainty, DriftKind, FieldChange
from abdrift.flux import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER
from streams.drift import corrections, documents, findings, ignores, managers, order, references
from streams.drift.cells import ObjectCell, OwnerCell, ScalerCell
from streams.drift.compare import CompareOptions, UnjudgeableError, compare, ignore
from streams.drift.compare.changes import Change
from streams.drift.compare.defaults import is_default
from streams.drift.compare.managed_fields import Entry, FieldSet, entries_of, owners
from streams.drift.work import Draft, Work

_REPLICAS = "/spec/replicas"
_EXEMPT_TRAITS = {
    references.KUSTOMIZE_GROUP: {"ssa-ignore", "ssa-if-not-present"},
    references.HELM_GROUP: {"detection-disabled"},
}
_CACHED_RULES = 1_024


@dataclass(frozen=True, slots=True)
class Reference:
    """What an object is held against: what Git says, the whole as it was, and what Flux owned of that."""

    desired: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    flux: FieldSet
    manager: str
    applies: bool
    """Whether Flux applies it server-side, and with that takes fields of kubectl over."""
    changed: bool
    """Whether the snapshot is another document than the live one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One field that drifted, and whether it is Git's or was added beside it."""

    change: FieldChange
    added: bool
    stays: bool
    """Whether Flux, reconciling, would leave it."""


def judge(work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell) -> str:
    """Judge an object that is there; return its state."""
    oid = cell.ref.id
    if _EXEMPT_TRAITS[owner.ref.group] & set(cell.traits):
        work.close(cluster, DriftKind.CHANGED, oid, "exempt")
        return "exempt"
    live = documents.load(cell.live)
    against = _reference(cell, owner, live)
    if against is None:
        return "unknown"
    try:
        found = _judged(work, cluster, cell, owner, against, live)
    except UnjudgeableError:
        return "unknown"
    if found is None:
        work.close(cluster, DriftKind.CHANGED, oid, "exempt")
        return "exempt"
    settled = cell.proven or (owner.ref.group == references.HELM_GROUP and bool(cell.desired))
    quiet = ignores.Ignores(work.policy.ignore, cell.ref)
    ignored = any(quiet.covers(each.change) for each in found)
    found = [each for each in found if not quiet.covers(each.change)]
    certain, waiting = _split(work, cluster, cell, owner, against, found, live)
    if not certain:
        if waiting:
            return "settling"
        work.close(cluster, DriftKind.CHANGED, oid, _closing(work, cluster, cell, live))
        return ("ignored" if ignored else "proven") if settled else "unproven"
    if not settled and not owner.view.reconciled_ms:
        return "unproven"
    work.report(_draft(work, cluster, cell, owner, certain, settled=settled))
    if waiting:
        return "settling"
    return "drifted" if settled else "unproven"


def _reference(cell: ObjectCell, owner: OwnerCell, live: Mapping[str, Any]) -> Reference | None:
    """Return what to hold the object against; None where nothing is at hand."""
    snapshot = documents.load(cell.baseline) if cell.baseline else live
    if owner.ref.group == references.HELM_GROUP and cell.desired:
        if owner.manifest_version != owner.view.release_version:
            return None
        desired = _at_version(documents.load(cell.desired), live)
        return Reference(desired, snapshot, FieldSet(), HELM_CONTROLLER, applies=False, changed=False)
    manager = KUSTOMIZE_CONTROLLER if owner.ref.group == references.KUSTOMIZE_GROUP else HELM_CONTROLLER
    entry = managers.applied(snapshot, manager)
    if entry is None:
        return None if manager == HELM_CONTROLLER else _unapplied(snapshot, manager, changed=bool(cell.baseline))
    desired = managers.extract(entry.fields, snapshot)
    applies = manager == KUSTOMIZE_CONTROLLER and "ssa-merge" not in cell.traits
    return Reference(desired, snapshot, entry.fields, manager, applies, bool(cell.baseline))


def _unapplied(snapshot: Mapping[str, Any], manager: str, *, changed: bool) -> Reference:
    """Return the reference for an object of which Flux owns nothing: someone made it anew."""
    nothing = managers.extract(FieldSet({".": {}}), snapshot)
    return Reference(nothing, snapshot, FieldSet(), manager, applies=True, changed=changed)


def _at_version(desired: dict[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the namespace that it leaves to the release."""
    namespace = live["metadata"].get("namespace")
    if namespace and not desired["metadata"].get("namespace"):
        return {**desired, "metadata": {**desired["metadata"], "namespace": namespace}}
    return desired


def _judged(
    work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell, against: Reference, live: Mapping[str, Any]
) -> list[Judged] | None:
    """Return what drifted, after all rules; None where the object is exempt."""
    rules = _rules(owner.view.ignore)
    options = CompareOptions(
        managers=(against.manager,), ignore=rules, takes_over=(managers.TAKEN_OVER,) if against.applies else ()
    )
    compared = compare(_unmarked(live, against), _unmarked(against.desired, against), options)
    if compared.exempt:
        return None
    entries = [entry for entry in entries_of(live) if entry.subresource != "status"]
    found = [_of_git(change, entries, against, live) for change in compared.changes]
    added = list(_added(against, live, [change.path for change in compared.changes]))
    ignored = ignore.ignored(rules, against.desired)
    found += [each for each in added if list(ignored.of([_as_change(each.change)], live))]
    found = [each for each in found if not _is_scaled(work, cluster, cell, each, against)]
    if not (cell.proven or cell.desired):
        found = [each for each in found if not each.added or _is_suspect(each.change, owner.view.reconciled_ms)]
    return _with_known_past(work, cluster, cell, found)


def _is_suspect(change: FieldChange, reconciled_ms: int) -> bool:
    """Whether an addition that was there at first sight may be newer than the last reconcile.

    A scale has no time. What kubectl wrote before a reconcile would be gone. Times have whole seconds.
    """
    by = change.by
    if change.old_known or by is None or by.time is None or by.manager.startswith(managers.TAKEN_OVER):
        return True
    return int(by.time.timestamp() * 1000) >= reconciled_ms


def _unmarked(document: Mapping[str, Any], against: Reference) -> Mapping[str, Any]:
    """Return the document without the mark that keeps Flux off, unless Git made it: it is told as `suspended`."""
    if documents.KUSTOMIZE_RECONCILE in documents.annotations(against.desired):
        return document
    for part in ("annotations", "labels"):
        marked = documents.part(document, "metadata", part)
        if documents.KUSTOMIZE_RECONCILE in marked:
            kept = {key: value for key, value in marked.items() if key != documents.KUSTOMIZE_RECONCILE}
            document = {**document, "metadata": {**document["metadata"], part: kept}}
    return document


@lru_cache(maxsize=_CACHED_RULES)
def _rules(raw: bytes) -> tuple[ignore.Rule, ...]:
    return ignore.parse(orjson.loads(raw)) if raw else ()


def _of_git(change: Change, entries: Sequence[Entry], against: Reference, live: Mapping[str, Any]) -> Judged:
    """Return a difference from what Git says, with who made it as far as that left a trace."""
    writers = owners(entries, live, change.path) if change.op != "remove" else ()
    by = next((each for each in writers if each.manager != against.manager), writers[0] if writers else None)
    old = change.old
    if change.op == "add" and against.changed and change.path in _paths(against):
        old = managers.value_at(against.snapshot, change.path)
    return Judged(
        FieldChange(path=change.path, op=change.op, old=old, new=change.new, by=managers.to_fact(by) if by else None),
        added=change.op == "add",
        stays=False,
    )


def _paths(against: Reference) -> frozenset[str]:
    return against.flux.paths(against.snapshot)


def _added(against: Reference, live: Mapping[str, Any], told: Sequence[str]) -> Iterator[Judged]:
    """Yield what others set beside what Git says and Flux would leave."""
    for entry, names, pointer in managers.additions(live, against.flux):
        if any(pointer == path or pointer.startswith(path + "/") or path.startswith(pointer + "/") for path in told):
            continue
        if managers.pointer_of(names, against.desired) is not None or _is_mark(pointer):
            continue
        if entry.manager.startswith(managers.ABDRIFT) and pointer == "/spec/suspend":
            continue
        new = managers.value_at(live, pointer)
        at = managers.pointer_of(names, against.snapshot) if against.changed else None
        old = managers.value_at(against.snapshot, at) if at else None
        if at and old == new and not _is_strangers(against.snapshot, names):
            continue
        known = against.changed and not (at and _is_strangers(against.snapshot, names))
        if not (at and known) and is_default(live, pointer):
            continue
        change = FieldChange(
            path=pointer,
            op="replace" if at and known else "add",
            old=old if known else None,
            old_known=known,
            new=new,
            by=managers.to_fact(entry),
        )
        yield Judged(change, added=True, stays=not (against.applies and entry.manager.startswith(managers.TAKEN_OVER)))


def _is_mark(pointer: str) -> bool:
    return pointer.endswith("/kustomize.toolkit.fluxcd.io~1reconcile")


def _is_strangers(document: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return any(names in set(entry.fields.leaves()) for entry in managers.strangers(document))


def _as_change(change: FieldChange) -> Change:
    return Change(change.path, change.old, change.new, "replace" if change.op == "replace" else "add")


def _with_known_past(work: Work, cluster: str, cell: ObjectCell, found: Sequence[Judged]) -> list[Judged]:
    """Keep what the open finding knows: the old value of what a new baseline contains, and who made the change.

    Before kustomize-controller applies, it makes kubectl's entries its own: for a moment the change seems to be its.
    """
    before = findings.still_open(work, cluster, DriftKind.CHANGED, cell.ref.id)
    if before is None:
        return list(found)
    told = {(each.path, repr(each.new)): each for each in before.fields}
    return [_remembered(each, told.get((each.change.path, repr(each.change.new)))) for each in found]


def _remembered(each: Judged, told: FieldChange | None) -> Judged:
    if told is None:
        return each
    change = each.change
    if told.old_known and not change.old_known:
        change = told.model_copy(update={"by": change.by})
    if told.by is not None and (change.by is None or change.by.manager in (KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)):
        change = change.model_copy(update={"by": told.by})
    return Judged(change, each.added, each.stays)


def _is_scaled(work: Work, cluster: str, cell: ObjectCell, each: Judged, against: Reference) -> bool:
    """Whether an autoscaler set the replicas within its bounds, and Git leaves them to it."""
    if each.change.path != _REPLICAS or not isinstance(each.change.new, int):
        return False
    scaler = work.get(f"scaler/{cluster}/{cell.ref.id}", ScalerCell)
    if scaler is None or "replicas" in documents.part(against.desired, "spec"):
        return False
    by = each.change.by
    return scaler.minimum <= each.change.new <= scaler.maximum and (by is None or by.manager in managers.SCALERS)


def _split(
    work: Work,
    cluster: str,
    cell: ObjectCell,
    owner: OwnerCell,
    against: Reference,
    found: Sequence[Judged],
    live: Mapping[str, Any],
) -> tuple[list[Judged], bool]:
    """Return what can be told now, and whether anything waits for Flux, or for word that it was not Flux."""
    when = order.moment(owner, cell.written_version, cell.written_ms, work.now_ms)
    doubtful = when is order.Moment.UNKNOWN and cell.writer == "flux"
    if not (doubtful or when is order.Moment.RUNNING) or (cell.writer == "other" and _is_untouched(owner, live)):
        return list(found), False
    before = findings.still_open(work, cluster, DriftKind.CHANGED, cell.ref.id)
    told = {(each.path, repr(each.new)) for each in before.fields} if before else set()
    certain = [
        each
        for each in found
        if (each.change.by is not None and each.change.by.manager != against.manager)
        or (each.change.path, repr(each.change.new)) in told
    ]
    if len(certain) < len(found) and doubtful:
        work.wake(cluster, f"object.changed|{cell.ref.id}", cell.written_ms + order.READ_PATIENCE_MS)
    return certain, len(certain) < len(found)


def _is_untouched(owner: OwnerCell, live: Mapping[str, Any]) -> bool:
    """Whether what Flux itself writes now can't be in the object yet: then whatever differs is another's doing."""
    entry = managers.applied(live, KUSTOMIZE_CONTROLLER)
    return entry is not None and order.was_untouched(owner, managers.time_ms(entry))


def _closing(work: Work, cluster: str, cell: ObjectCell, live: Mapping[str, Any]) -> str:
    """Return why the open finding closes: the fields are back, Git took them over, or others took their place."""
    before = findings.still_open(work, cluster, DriftKind.CHANGED, cell.ref.id)
    if before is None:
        return "corrected"
    if all(_is_back(live, each) for each in before.fields if each.old_known):
        return "corrected"
    if all(managers.value_at(live, each.path) == each.new for each in before.fields):
        return "exempt" if _is_ignored(work, cell, before.fields) else "adopted"
    return "superseded"


def _is_back(live: Mapping[str, Any], change: FieldChange) -> bool:
    """Whether a change is undone. Where an item was added to a list, another may stand in its place now."""
    if managers.value_at(live, change.path) == change.old:
        return True
    above, _, name = change.path.rpartition("/")
    items = managers.value_at(live, above) if change.op == "add" and name.isdigit() else None
    return isinstance(items, list) and change.new not in items


def _is_ignored(work: Work, cell: ObjectCell, fields: Sequence[FieldChange]) -> bool:
    quiet = ignores.Ignores(work.policy.ignore, cell.ref)
    return all(quiet.covers(each) for each in fields)


def _draft(
    work: Work, cluster: str, cell: ObjectCell, owner: OwnerCell, found: Sequence[Judged], *, settled: bool
) -> Draft:
    fields = tuple(each.change for each in found)
    if not settled:
        fields = tuple(each.model_copy(update={"old_known": each.old_known and bool(cell.baseline)}) for each in fields)
    named = findings.managers_of(fields)
    staying = [each.change.path for each in found if each.stays]
    corrects, reason = corrections.of_object(owner, cell, staying, len(found), settled=settled)
    scaled = any(each.path == _REPLICAS for each in fields) and work.get(f"scaler/{cluster}/{cell.ref.id}", ScalerCell)
    times = [int(each.by.time.timestamp() * 1000) for each in fields if each.by and each.by.time]
    source = work.source(cluster, owner.view.source)
    by = f" by {', '.join(named)}" if named else ""
    said = f"{len(fields)} field{'s' if len(fields) != 1 else ''} of {references.spoken(cell.ref)}"
    differ = "differ" if len(fields) != 1 else "differs"
    applied = "what was last applied" if settled else "what Flux may have applied, as managedFields suggest"
    return Draft(
        cluster=cluster,
        kind=DriftKind.CHANGED,
        ref=cell.ref,
        owner=owner.ref,
        message=f"{said} {differ} from {applied}{by}: {', '.join(each.path for each in fields[:3])}",
        fields=fields,
        managers=named,
        certainty=Certainty.PROVEN if settled else Certainty.SUSPECT,
        corrects=corrects,
        corrects_reason=reason,
        contested=bool(scaled),
        held_until_ms=max(cell.hold_until_ms, owner.view.hold_until_ms),
        changed_ms=max(times, default=None),
        observed_ms=cell.written_observed_ms,
        applied_revision=owner.view.applied,
        artifact_revision=source.artifact if source else "",
        owner_generation=owner.view.generation,
        kinds=(references.kind_of(cell.ref.id), references.kind_of(owner.ref.id)),
    )
