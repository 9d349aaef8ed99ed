"""Flux's verbs as field-exact patches, and what its objects say of a request.

Pure. Sources: Flux's API (reconcile.fluxcd.io annotations, status.lastHandled*At, conditions) and what real Flux 2.7
was seen to do. A request is marked handled even while the object is suspended or failing, so that word alone proves
nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abdrift.facts.base import ObjectRef
from abdrift.facts.commands import Verb
from abdrift.flux import condition
from abdrift.kubeapi import Resource

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
FORCE_AT = "reconcile.fluxcd.io/forceAt"
RESET_AT = "reconcile.fluxcd.io/resetAt"

_KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
_HELM = "helm.toolkit.fluxcd.io"
_SOURCE = "source.toolkit.fluxcd.io"
_PLURALS = {
    (_KUSTOMIZE, "Kustomization"): "kustomizations",
    (_HELM, "HelmRelease"): "helmreleases",
    (_SOURCE, "GitRepository"): "gitrepositories",
    (_SOURCE, "OCIRepository"): "ocirepositories",
    (_SOURCE, "HelmRepository"): "helmrepositories",
    (_SOURCE, "HelmChart"): "helmcharts",
    (_SOURCE, "Bucket"): "buckets",
}


class NotFlux(ValueError):  # noqa: N818  says what is wrong
    """A target that this sink has no verbs for."""


def resource(ref: ObjectRef) -> Resource:
    """Return how the API serves a Flux object.

    Raises:
        NotFlux: it is of no kind that Flux reconciles.

    """
    plural = _PLURALS.get((ref.group, ref.kind))
    if plural is None:
        raise NotFlux(f"{ref.kind}.{ref.group or 'core'} is none of Flux's kinds")
    return Resource(ref.group, ref.version, plural)


def patch_for(verb: Verb, kind: str, request: str) -> dict[str, Any]:
    """Return the merge patch that asks a Flux object of this kind for a verb.

    Raises:
        NotFlux: the verb is not one of this kind's.

    """
    annotations = {REQUESTED_AT: request}
    match verb:
        case Verb.RECONCILE | Verb.RECONCILE_WITH_SOURCE:
            return {"metadata": {"annotations": annotations}}
        case Verb.SUSPEND:
            return {"spec": {"suspend": True}}
        case Verb.RESUME:
            return {"metadata": {"annotations": annotations}, "spec": {"suspend": False}}
        case Verb.FORCE | Verb.RESET if kind == "HelmRelease":
            extra = FORCE_AT if verb is Verb.FORCE else RESET_AT
            return {"metadata": {"annotations": annotations | {extra: request}}}
        case _:
            raise NotFlux(f"{verb} is not a verb of Flux's {kind}")


def source_of(target: Mapping[str, Any]) -> ObjectRef | None:
    """Return the source that a Kustomization or HelmRelease takes its content from, or None where it names none."""
    spec = target.get("spec", {})
    ref = spec.get("sourceRef") or spec.get("chartRef") or spec.get("chart", {}).get("spec", {}).get("sourceRef")
    if not ref or not ref.get("kind") or not ref.get("name"):
        return None
    return ObjectRef(
        group=_SOURCE,
        version="v1",
        kind=ref["kind"],
        namespace=ref.get("namespace") or target["metadata"].get("namespace"),
        name=ref["name"],
    )


def applied_revision(target: Mapping[str, Any]) -> str | None:
    """Return the revision a Flux object has applied: a HelmRelease's is its newest release's chart version."""
    status = target.get("status", {})
    if target.get("kind") == "HelmRelease":
        history = status.get("history") or []
        revision = history[0].get("chartVersion") if history else status.get("lastAttemptedRevision")
    else:
        revision = status.get("lastAppliedRevision")
    return str(revision) if revision is not None else None


def artifact_revision(source: Mapping[str, Any]) -> str | None:
    """Return the revision a source has fetched."""
    revision = source.get("status", {}).get("artifact", {}).get("revision")
    return str(revision) if revision is not None else None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request has come. `failure` is set once it can't succeed any more by waiting."""

    handled: bool
    ready: bool
    failure: str | None = None
    waiting_for: str = ""


def progress(obj: Mapping[str, Any], verb: Verb, request: str) -> Progress:
    """Return how far a request has come by what the object says."""
    suspended = bool(obj.get("spec", {}).get("suspend"))
    if verb is Verb.SUSPEND:
        return Progress(handled=suspended, ready=suspended, waiting_for="" if suspended else "spec.suspend to be true")
    status = obj.get("status", {})
    handled = _handled(obj, verb, request)
    if suspended:
        return Progress(handled, ready=False, failure="the object is suspended, so nothing is reconciled")
    if not handled:
        return Progress(handled=False, ready=False, waiting_for="the controller to handle the request")
    if condition(obj, "Reconciling").get("status") == "True" and not _failing(obj):
        return Progress(handled=True, ready=False, waiting_for="the reconcile to finish")
    return _ended(obj, status)


_HANDLED = {
    REQUESTED_AT: "lastHandledReconcileAt",
    FORCE_AT: "lastHandledForceAt",
    RESET_AT: "lastHandledResetAt",
}
_MARKS = {Verb.FORCE: (REQUESTED_AT, FORCE_AT), Verb.RESET: (REQUESTED_AT, RESET_AT)}


def _handled(obj: Mapping[str, Any], verb: Verb, request: str) -> bool:
    """Whether the request was handled, or a later one that took its place in the annotation.

    Flux remembers one request: what two commands ask of the same source, it does once.
    """
    asked = obj.get("metadata", {}).get("annotations") or {}
    status = obj.get("status", {})
    return all(
        status.get(_HANDLED[mark]) in {request, asked.get(mark, request)} for mark in _MARKS.get(verb, (REQUESTED_AT,))
    )


def _failing(obj: Mapping[str, Any]) -> bool:
    return condition(obj, "Ready").get("status") == "False" or condition(obj, "Stalled").get("status") == "True"


def _ended(obj: Mapping[str, Any], status: Mapping[str, Any]) -> Progress:
    ready = condition(obj, "Ready")
    generation = obj.get("metadata", {}).get("generation")
    if _failing(obj):
        if ready.get("reason") == "HealthCheckFailed":
            return Progress(handled=True, ready=True)
        return Progress(handled=True, ready=False, failure=f"{ready.get('reason')}: {ready.get('message')}")
    if ready.get("status") != "True":
        return Progress(handled=True, ready=False, waiting_for="condition Ready")
    if not ready.get("observedGeneration") == status.get("observedGeneration") == generation:
        return Progress(handled=True, ready=False, waiting_for=f"Ready at generation {generation}")
    return Progress(handled=True, ready=True)
