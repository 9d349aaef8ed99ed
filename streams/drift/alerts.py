"""`alert`: alerts that fire for an object, as someone else has judged it.

An alert is about the object that its labels name, by the first of the policy's mappings that matches; one that names
none is not kept. All alerts about one object are one finding: it opens with the first that fires, changes as they come
and go, and closes when the last is resolved, or was not told again for too long.

Of a cluster that no agent has told of nothing is kept, since nothing could be done there.
"""

from collections.abc import Mapping

import msgspec
import orjson

from abdrift.clock import to_datetime
from abdrift.facts.base import SourceEvidence
from abdrift.facts.drift import Corrects, DriftKind
from abdrift.facts.governance import AlertLabels, AlertMapping
from abdrift.signals.alerts import AlertRow, Status
from streams.drift import findings, references
from streams.drift.cells import AlertingCell, AlertsCell, ClusterCell, FiringAlert, ObjectCell, OwnerCell, Ref
from streams.drift.work import Draft, Work
from streams.rates.names import workload_of

MAX_LABELS_BYTES = 8_192
"""Of one alert; its object's cell holds several."""
MAX_OF_OBJECT = 16
"""Alerts kept of one object."""
MAX_OF_CLUSTER = 1_000
"""Alerts kept of one cluster."""
MAX_RESOLVED = 256
"""Resolved alerts that are remembered of a cluster, so that a notification that comes late opens nothing."""
MAX_MESSAGE_CHARS = 512

_GROUPS = {
    "Kustomization": references.KUSTOMIZE_GROUP,
    "HelmRelease": references.HELM_GROUP,
    "Deployment": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "CronJob": "batch",
    "Job": "batch",
}
"""Kinds that an alert can be about."""
_NAMING = ("kustomization", "helmrelease", "deployment", "statefulset", "daemonset", "cronjob", "job")
"""Fields of `AlertLabels` in the order in which they are asked, beside the kinds above."""
_OF_PODS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def absorb(work: Work, row: AlertRow) -> None:
    """Take an alert in.

    Raises:
        ValueError: its labels are no JSON object, or too large.

    """
    if work.get(f"cluster/{row.cluster}", ClusterCell) is None:
        work.pass_over("alert-of-unknown-cluster")
        return
    if row.status == Status.RESOLVED:
        _resolve(work, row.cluster, row.fingerprint, max(row.ends_ms, row.starts_ms))
        return
    if len(row.labels) > MAX_LABELS_BYTES:
        raise ValueError(f"the labels take more than {MAX_LABELS_BYTES} bytes")
    alert = FiringAlert(
        sender=row.sender,
        name=row.name,
        severity=row.severity,
        message=row.message[:MAX_MESSAGE_CHARS],
        starts_ms=row.starts_ms,
        observed_ms=row.observed_ms,
        told_ms=work.now_ms,
        labels=orjson.dumps(row.labelled()),
    )
    if alert.starts_ms < _alerting(work, row.cluster).resolved.get(row.fingerprint, 0):
        work.pass_over("alert-resolved-since")
        return
    _place(work, row.cluster, row.fingerprint, alert)


def judge(work: Work, cluster: str, oid: str) -> None:
    """Judge an object by the alerts that fire for it; called for whatever else is judged of it, too."""
    cell = work.get(_key(cluster, oid), AlertsCell)
    if cell is None:
        return
    if cell.firing:
        work.report(_draft(work, cluster, oid, cell))
    else:
        work.close(cluster, DriftKind.ALERT, oid, cell.ended)
        work.put(_key(cluster, oid), None)


def remap(work: Work, cluster: str) -> None:
    """Read again what each alert is about: the policy has changed."""
    for fingerprint, oid in _alerting(work, cluster).firing.items():
        cell = work.get(_key(cluster, oid), AlertsCell)
        assert cell is not None, "an alert's object has a cell"
        _place(work, cluster, fingerprint, cell.firing[fingerprint])


def forget_stale(work: Work, cluster: str, oid: str) -> None:
    """Take alerts that were not told again for too long to be over."""
    cell = work.get(_key(cluster, oid), AlertsCell)
    for fingerprint, alert in cell.firing.items() if cell else ():
        if alert.told_ms + _patience_ms(work) <= work.now_ms:
            _remove(work, cluster, fingerprint, "stale")
    _wake(work, cluster, oid)


def object_of(work: Work, cluster: str, sender: str, labels: Mapping[str, str]) -> Ref | None:
    """Return what an alert is about by the first mapping that matches it; None where there is none, or no object."""
    for mapping in work.policy.alerts.mappings:
        if sender in mapping.senders and mapping.alerts.matches(dict(labels)):
            return _named(work, cluster, mapping, labels)
    return None


def _named(work: Work, cluster: str, mapping: AlertMapping, labels: Mapping[str, str]) -> Ref | None:
    names: AlertLabels = mapping.labels
    namespace = labels.get(names.namespace)
    if not namespace:
        return None
    kind, name = labels.get(names.kind, ""), labels.get(names.name)
    if kind in _GROUPS and name:
        return _ref(work, cluster, kind, namespace, name)
    for kind, field in zip(_GROUPS, _NAMING, strict=True):
        if name := labels.get(getattr(names, field)):
            return _ref(work, cluster, kind, namespace, name)
    if pod := labels.get(names.pod):
        return _of_pod(work, cluster, namespace, pod)
    return None


def _of_pod(work: Work, cluster: str, namespace: str, pod: str) -> Ref | None:
    """Return the workload that a pod's name tells, if it is known."""
    name = workload_of("Pod", pod)
    for kind in _OF_PODS:
        found = work.object(cluster, references.object_id(_GROUPS[kind], kind, namespace, name))
        if found is not None and found.present:
            return found.ref
    return None


def _ref(work: Work, cluster: str, kind: str, namespace: str, name: str) -> Ref:
    oid = references.object_id(_GROUPS[kind], kind, namespace, name)
    found = work.owner(cluster, oid) or work.object(cluster, oid)
    return found.ref if found else references.of_id(oid)


def _place(work: Work, cluster: str, fingerprint: str, alert: FiringAlert) -> None:
    """Keep an alert with the object that it is about now, and nowhere else."""
    before = _alerting(work, cluster).firing.get(fingerprint)
    ref = object_of(work, cluster, alert.sender, orjson.loads(alert.labels))
    if before is not None and (ref is None or ref.id != before):
        _remove(work, cluster, fingerprint, "superseded")
    if ref is None:
        work.pass_over("alert-not-mapped")
        return
    alerting = _alerting(work, cluster)
    cell = work.get(_key(cluster, ref.id), AlertsCell) or AlertsCell(ref=ref)
    full = len(cell.firing) >= MAX_OF_OBJECT or len(alerting.firing) >= MAX_OF_CLUSTER
    if fingerprint not in cell.firing and full:
        work.pass_over("too-many-alerts")
        return
    firing = {**cell.firing, fingerprint: alert}
    work.put(_key(cluster, ref.id), msgspec.structs.replace(cell, ref=ref, firing=firing))
    work.put(
        f"alerting/{cluster}",
        msgspec.structs.replace(alerting, firing={**alerting.firing, fingerprint: ref.id}),
    )
    _wake(work, cluster, ref.id)
    judge(work, cluster, ref.id)


def _resolve(work: Work, cluster: str, fingerprint: str, ended_ms: int) -> None:
    alerting = _alerting(work, cluster)
    resolved = {**alerting.resolved, fingerprint: max(ended_ms, alerting.resolved.get(fingerprint, 0))}
    for oldest in list(resolved)[: max(0, len(resolved) - MAX_RESOLVED)]:
        del resolved[oldest]
    work.put(f"alerting/{cluster}", msgspec.structs.replace(alerting, resolved=resolved))
    _remove(work, cluster, fingerprint, "resolved")


def _remove(work: Work, cluster: str, fingerprint: str, why: str) -> None:
    alerting = _alerting(work, cluster)
    oid = alerting.firing.get(fingerprint)
    if oid is None:
        return
    cell = work.get(_key(cluster, oid), AlertsCell)
    assert cell is not None, "an alert's object has a cell"
    firing = {key: alert for key, alert in cell.firing.items() if key != fingerprint}
    left = {key: each for key, each in alerting.firing.items() if key != fingerprint}
    work.put(_key(cluster, oid), msgspec.structs.replace(cell, firing=firing, ended=why))
    work.put(f"alerting/{cluster}", msgspec.structs.replace(alerting, firing=left))
    judge(work, cluster, oid)


def _draft(work: Work, cluster: str, oid: str, cell: AlertsCell) -> Draft:
    ref, owner = _standing(work, cluster, cell.ref)
    alerts = sorted(cell.firing.values(), key=lambda each: (each.starts_ms, each.name))
    first = alerts[0]
    names = tuple(dict.fromkeys(each.name for each in alerts))
    said = f": {first.message}" if first.message else ""
    others = f" (and {', '.join(names[1:])})" if names[1:] else ""
    found = work.object(cluster, oid)
    source = work.source(cluster, owner.view.source) if owner else None
    corrects, reason, contested = _correction(work, cluster, oid, owner)
    return Draft(
        cluster=cluster,
        kind=DriftKind.ALERT,
        ref=ref,
        owner=owner.ref if owner else None,
        message=f"{first.name} fires for {references.spoken(ref)}{others}{said}",
        corrects=corrects,
        corrects_reason=reason,
        contested=contested,
        held_until_ms=max(found.hold_until_ms if found else 0, owner.view.hold_until_ms if owner else 0),
        changed_ms=first.starts_ms,
        observed_ms=first.observed_ms,
        applied_revision=owner.view.applied if owner else "",
        artifact_revision=source.artifact if source else "",
        owner_generation=owner.view.generation if owner else None,
        kinds=tuple(references.kind_of(each) for each in (oid, *((owner.ref.id,) if owner else ()))),
        sources=tuple(_evidence(each) for each in alerts),
    )


def _standing(work: Work, cluster: str, ref: Ref) -> tuple[Ref, OwnerCell | None]:
    """Return the object as it is known now, and its owner, which it may be itself."""
    itself = work.owner(cluster, ref.id)
    if itself is not None and itself.exists:
        return itself.ref, itself
    found: ObjectCell | None = work.object(cluster, ref.id)
    owner = work.owner(cluster, found.owner) if found and found.owner else None
    return found.ref if found else ref, owner if owner and owner.exists else None


def _correction(work: Work, cluster: str, oid: str, owner: OwnerCell | None) -> tuple[Corrects, str | None, bool]:
    """Return whether a reconcile helps, why, and whether another controller rightfully owns the object too.

    It undoes what differs from Git; whether that made the alert fire, nobody knows before.
    """
    if owner is not None and owner.view.suspended:
        return Corrects.NO, "the owner is suspended", False
    for kind in (DriftKind.CHANGED, DriftKind.DELETED):
        said = work.reports.get((cluster, kind, oid))
        if isinstance(said, str):
            continue
        drift = said or findings.still_open(work, cluster, kind, oid)
        if drift is None:
            continue
        corrects = drift.corrects if isinstance(drift, Draft) else drift.reconcile_corrects
        return corrects, f"it is {kind} too", drift.contested
    return Corrects.UNKNOWN, "nothing is known to differ from what GitOps applied", False


def _evidence(alert: FiringAlert) -> SourceEvidence:
    return SourceEvidence(source=alert.sender, what=alert.name, as_of=to_datetime(alert.observed_ms), complete=True)


def _wake(work: Work, cluster: str, oid: str) -> None:
    """Have stale alerts looked for when the first of them would be."""
    cell = work.get(_key(cluster, oid), AlertsCell)
    if cell is not None and cell.firing:
        told_ms = min(each.told_ms for each in cell.firing.values())
        work.wake(cluster, f"alerts.stale|{oid}", told_ms + _patience_ms(work))


def _patience_ms(work: Work) -> int:
    return int(work.policy.alerts.stale_after_seconds * 1000)


def _alerting(work: Work, cluster: str) -> AlertingCell:
    return work.get(f"alerting/{cluster}", AlertingCell) or AlertingCell()


def _key(cluster: str, oid: str) -> str:
    return f"alerts/{cluster}/{oid}"
