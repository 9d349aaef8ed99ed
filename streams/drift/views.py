"""What Flux's objects say of themselves: Kustomization, HelmRelease and the sources, read into small values.

Field names and conditions are those of Flux 2.7 as watched on a real API server; newer ones are read where they are.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from abdrift.clock import parse_rfc3339_ms
from abdrift.flux import condition, phase
from streams.drift import documents, references
from streams.drift.cells import OwnerView, Ref, SourceCell

_REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
_MAX_MESSAGE_CHARS = 500


def of_owner(ref: Ref, document: Mapping[str, Any]) -> OwnerView:
    """Return what a Kustomization or HelmRelease says.

    Raises:
        ValueError: an inventory entry is no inventory id.

    """
    view = _common(document)
    if ref.group == references.KUSTOMIZE_GROUP:
        return _kustomization(ref, document, view)
    return _release(ref, document, view)


def _common(document: Mapping[str, Any]) -> OwnerView:
    metadata, spec, status = (documents.part(document, key) for key in ("metadata", "spec", "status"))
    ready = condition(document, "Ready")
    suspended_by, suspended_at_ms = _suspension(document)
    return OwnerView(
        generation=int(metadata.get("generation") or 0),
        observed_generation=int(status.get("observedGeneration") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        suspended=spec.get("suspend") is True,
        suspended_by=suspended_by,
        suspended_at_ms=suspended_at_ms,
        remote=bool(spec.get("kubeConfig")),
        phase=phase(document),
        started_ms=parse_rfc3339_ms(condition(document, "Reconciling").get("lastTransitionTime")) or 0,
        ready=_truth(ready.get("status")),
        reason=str(ready.get("reason") or ""),
        message=str(ready.get("message") or "")[:_MAX_MESSAGE_CHARS],
        stalled=condition(document, "Stalled").get("status") == "True",
        attempted=str(status.get("lastAttemptedRevision") or ""),
        handled_at=str(status.get("lastHandledReconcileAt") or ""),
        requested_at=str(documents.annotations(document).get(_REQUESTED_AT) or ""),
        hold_until_ms=documents.hold_until_ms(document),
        inventory=_inventory(status),
    )


def _kustomization(ref: Ref, document: Mapping[str, Any], view: OwnerView) -> OwnerView:
    spec, status = documents.part(document, "spec"), documents.part(document, "status")
    source = documents.part(spec, "sourceRef")
    history = _newest(status)
    applied = str(status.get("lastAppliedRevision") or "")
    if view.reason == "HealthCheckFailed" and view.attempted:
        applied = view.attempted  # everything was applied; only its health is not as hoped
    return msgspec.structs.replace(
        view,
        prune=spec.get("prune") is True,
        deletion_policy=str(spec.get("deletionPolicy") or ""),
        applied=applied,
        mark=_mark(document, history, "digest", "totalReconciliations", "lastReconciled"),
        reconciled_ms=parse_rfc3339_ms(history.get("lastReconciled")) or _transition_ms(document),
        source=references.object_id(
            references.SOURCE_GROUP,
            str(source.get("kind") or ""),
            str(source.get("namespace") or ref.namespace),
            str(source.get("name") or ""),
        ),
        ignore=_ignore(spec.get("ignore")),
    )


def _release(ref: Ref, document: Mapping[str, Any], view: OwnerView) -> OwnerView:
    spec, status = documents.part(document, "spec"), documents.part(document, "status")
    newest = _newest(status)
    failure = _release_failure(document)
    detection = documents.part(spec, "driftDetection")
    return msgspec.structs.replace(
        view,
        message=f"{view.message} {failure}".strip()[:_MAX_MESSAGE_CHARS] if failure else view.message,
        applied=str(newest.get("chartVersion") or "") if newest.get("status") in ("deployed", "superseded") else "",
        attempted_digest=str(status.get("lastAttemptedRevisionDigest") or ""),
        mark=_mark(document, newest, "digest", "version", "lastDeployed"),
        reconciled_ms=parse_rfc3339_ms(newest.get("lastDeployed")) or _transition_ms(document),
        source=_chart(ref, spec, status),
        detection=str(detection.get("mode") or "disabled"),
        ignore=_ignore(detection.get("ignore")),
        release_version=int(newest.get("version") or 0),
    )


def _release_failure(document: Mapping[str, Any]) -> str:
    """Return what became of a release: a failed test and what remediation did, as the conditions say."""
    said = []
    for kind, bad in (("TestSuccess", "False"), ("Remediated", "True"), ("Remediated", "False")):
        found = condition(document, kind)
        if found.get("status") == bad:
            said.append(f"{found.get('reason')}: {found.get('message')}")
    return " ".join(said)


def _chart(ref: Ref, spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if reference := documents.part(spec, "chartRef"):
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        namespace = str(reference.get("namespace") or ref.namespace)
        return references.object_id(references.SOURCE_GROUP, kind, namespace, name)
    namespace, _, name = str(status.get("helmChart") or "").partition("/")
    if not name:
        source = documents.part(spec, "chart", "spec", "sourceRef")
        namespace, name = str(source.get("namespace") or ref.namespace), f"{ref.namespace}-{ref.name}"
    return references.object_id(references.SOURCE_GROUP, "HelmChart", namespace, name)


def of_source(ref: Ref, document: Mapping[str, Any], before: SourceCell | None, now_ms: int) -> SourceCell:
    """Return what a source says, keeping what the step itself knows of it."""
    spec, ready = documents.part(document, "spec"), condition(document, "Ready")
    artifact = documents.part(document, "status", "artifact")
    suspended_by, suspended_at_ms = _suspension(document)
    return msgspec.structs.replace(
        before or SourceCell(ref=ref),
        ref=ref,
        exists=True,
        generation=int(documents.part(document, "metadata").get("generation") or 0),
        url=str(spec.get("chart" if ref.kind == "HelmChart" else "url") or ""),
        git_ref=_git_ref(documents.part(spec, "ref")) if ref.kind == "GitRepository" else "",
        artifact=str(artifact.get("revision") or ""),
        artifact_ms=_fetched_ms(artifact, before, now_ms),
        digest=str(artifact.get("digest") or ""),
        ready=_truth(ready.get("status")),
        reason=str(ready.get("reason") or ""),
        message=str(ready.get("message") or "")[:_MAX_MESSAGE_CHARS],
        stalled=condition(document, "Stalled").get("status") == "True",
        suspended=spec.get("suspend") is True,
        suspended_by=suspended_by,
        suspended_at_ms=suspended_at_ms,
        hold_until_ms=documents.hold_until_ms(document),
    )


def _fetched_ms(artifact: Mapping[str, Any], before: SourceCell | None, now_ms: int) -> int:
    """Return when an artifact was fetched. A cluster's clock may be ahead; what it tells now happened before now."""
    if before is not None and before.artifact_ms and before.artifact == artifact.get("revision"):
        return before.artifact_ms
    return min(parse_rfc3339_ms(artifact.get("lastUpdateTime")) or 0, now_ms)


def _git_ref(ref: Mapping[str, Any]) -> str:
    """Return the full ref a GitRepository follows, by Flux's precedence; empty for a range of versions."""
    if ref.get("commit"):
        return str(ref["commit"])
    if ref.get("name"):
        return str(ref["name"])
    if ref.get("semver"):
        return ""
    if ref.get("tag"):
        return f"refs/tags/{ref['tag']}"
    return f"refs/heads/{ref.get('branch') or 'master'}"


def _inventory(status: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    inventory = status.get("inventory")
    if not isinstance(inventory, dict):
        return None
    entries = inventory.get("entries") or ()
    return tuple((references.of_inventory_entry(str(entry["id"])), str(entry.get("v") or "")) for entry in entries)


def _newest(status: Mapping[str, Any]) -> Mapping[str, Any]:
    history = status.get("history")
    return history[0] if isinstance(history, list) and history and isinstance(history[0], dict) else {}


def _mark(document: Mapping[str, Any], newest: Mapping[str, Any], *keys: str) -> str:
    status = documents.part(document, "status")
    parts = [newest.get(key) for key in keys]
    parts += [status.get("lastHandledReconcileAt"), status.get("observedGeneration")]
    return "|".join(str(part) for part in parts)


def _transition_ms(document: Mapping[str, Any]) -> int:
    return parse_rfc3339_ms(condition(document, "Ready").get("lastTransitionTime")) or 0


def _suspension(document: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return who set spec.suspend, and when, by managedFields."""
    for entry in documents.part(document, "metadata").get("managedFields") or ():
        if isinstance(entry, dict) and "f:suspend" in documents.part(entry, "fieldsV1", "f:spec"):
            return str(entry.get("manager") or ""), parse_rfc3339_ms(entry.get("time"))
    return "", None


def _truth(status: Any) -> bool | None:
    return {"True": True, "False": False}.get(str(status))


def _ignore(rules: Any) -> bytes:
    return orjson.dumps(rules) if isinstance(rules, list) and rules else b""
