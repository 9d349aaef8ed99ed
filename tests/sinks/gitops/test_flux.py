"""Patches to the field, and what Flux's objects say of a request."""

import pytest

from abdrift.facts.base import ObjectRef
from abdrift.facts.commands import Verb
from sinks.gitops import flux
from tests.sinks.gitops.builders import APP, RELEASE, kustomization

PATCHES = [
    pytest.param(
        Verb.RECONCILE, "Kustomization", {"metadata": {"annotations": {flux.REQUESTED_AT: "r"}}}, id="reconcile"
    ),
    pytest.param(
        Verb.FORCE,
        "HelmRelease",
        {"metadata": {"annotations": {flux.REQUESTED_AT: "r", flux.FORCE_AT: "r"}}},
        id="force",
    ),
    pytest.param(
        Verb.RESET,
        "HelmRelease",
        {"metadata": {"annotations": {flux.REQUESTED_AT: "r", flux.RESET_AT: "r"}}},
        id="reset",
    ),
    pytest.param(Verb.SUSPEND, "Kustomization", {"spec": {"suspend": True}}, id="suspend"),
    pytest.param(
        Verb.RESUME,
        "HelmRelease",
        {"metadata": {"annotations": {flux.REQUESTED_AT: "r"}}, "spec": {"suspend": False}},
        id="resume",
    ),
]


@pytest.mark.parametrize(("verb", "kind", "patch"), PATCHES)
def test_patches_name_exactly_their_fields(verb: Verb, kind: str, patch: dict) -> None:
    assert flux.patch_for(verb, kind, "r") == patch


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        (Verb.FORCE, "Kustomization"),
        (Verb.RESET, "GitRepository"),
        (Verb.SYNC, "Kustomization"),
        (Verb.REFRESH, "HelmRelease"),
    ],
)
def test_verbs_that_are_not_flux_s(verb: Verb, kind: str) -> None:
    with pytest.raises(flux.NotFlux):
        flux.patch_for(verb, kind, "r")


def test_paths_of_flux_objects_only() -> None:
    assert flux.resource(APP).path("flux-system", "app") == (
        "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/app"
    )
    with pytest.raises(flux.NotFlux):
        flux.resource(ObjectRef(group="apps", kind="Deployment", name="web"))


RECONCILING = {"type": "Reconciling", "status": "True"}


def _with(*conditions: dict, **status: object) -> dict:
    return {"status": {"conditions": list(conditions)} | status}


READY = {"type": "Ready", "status": "True", "observedGeneration": 1}
PROGRESS = [
    pytest.param(kustomization("r"), Verb.RECONCILE, (True, True, None), id="handled-and-ready"),
    pytest.param(kustomization(), Verb.RECONCILE, (False, False, None), id="not-handled-yet"),
    pytest.param(kustomization("older"), Verb.RECONCILE, (False, False, None), id="an-older-request-was-handled"),
    pytest.param(
        kustomization("later", metadata={"annotations": {flux.REQUESTED_AT: "later"}}),
        Verb.RECONCILE,
        (True, True, None),
        id="a-later-request-took-its-place-and-was-handled",
    ),
    pytest.param(
        kustomization("older", metadata={"annotations": {flux.REQUESTED_AT: "later"}}),
        Verb.RECONCILE,
        (False, False, None),
        id="a-later-request-is-not-handled-yet",
    ),
    pytest.param(
        kustomization("r", spec={"suspend": True}),
        Verb.RECONCILE,
        (True, False, "suspended"),
        id="handled-but-suspended",
    ),
    pytest.param(
        kustomization("r", **_with(RECONCILING, READY)), Verb.RECONCILE, (True, False, None), id="still-reconciling"
    ),
    pytest.param(kustomization("r", ready="False"), Verb.RECONCILE, (True, False, "R: m"), id="handled-but-failing"),
    pytest.param(
        kustomization("r", **_with(RECONCILING, {"type": "Ready", "status": "False", "reason": "BuildFailed"})),
        Verb.RECONCILE,
        (True, False, "BuildFailed"),
        id="failing-with-retry",
    ),
    pytest.param(
        kustomization("r", **_with({"type": "Ready", "status": "False", "reason": "HealthCheckFailed"})),
        Verb.RECONCILE,
        (True, True, None),
        id="health-check-failed-means-applied",
    ),
    pytest.param(kustomization("r", ready="Unknown"), Verb.RECONCILE, (True, False, None), id="ready-unknown"),
    pytest.param(
        kustomization("r", **_with(READY | {"observedGeneration": 0})),
        Verb.RECONCILE,
        (True, False, None),
        id="ready-at-an-older-generation",
    ),
    pytest.param(kustomization("r"), Verb.FORCE, (False, False, None), id="force-needs-its-own-mark"),
    pytest.param(
        kustomization("r", status={"lastHandledForceAt": "r"}), Verb.FORCE, (True, True, None), id="force-handled"
    ),
    pytest.param(kustomization(spec={"suspend": True}), Verb.SUSPEND, (True, True, None), id="suspended"),
    pytest.param(kustomization(), Verb.SUSPEND, (False, False, None), id="not-suspended-yet"),
]


@pytest.mark.parametrize(("obj", "verb", "expected"), PROGRESS)
def test_progress(obj: dict, verb: Verb, expected: tuple[bool, bool, str | None]) -> None:
    seen = flux.progress(obj, verb, "r")
    assert (seen.handled, seen.ready) == expected[:2]
    assert (expected[2] in seen.failure) if expected[2] else seen.failure is None


RELEASE_OBJECT = {
    "kind": "HelmRelease",
    "metadata": {"namespace": "flux-system"},
    "spec": {"chart": {"spec": {"sourceRef": {"kind": "GitRepository", "name": "fleet"}}}},
    "status": {"lastAttemptedRevision": "0.1.0", "history": [{"chartVersion": "0.1.0+ef0af445c93e"}]},
}


def test_what_is_applied_and_from_where() -> None:
    assert flux.applied_revision(kustomization()) == "main@sha1:aaa"
    assert flux.applied_revision(RELEASE_OBJECT) == "0.1.0+ef0af445c93e"
    assert flux.applied_revision(RELEASE_OBJECT | {"status": {"lastAttemptedRevision": "0.1.0"}}) == "0.1.0"
    assert flux.applied_revision({"kind": "Kustomization"}) is None
    assert flux.source_of(RELEASE_OBJECT).namespace == "flux-system"
    assert flux.source_of({"kind": "Kustomization", "metadata": {}, "spec": {}}) is None
    assert flux.artifact_revision({}) is None
    assert RELEASE.kind == "HelmRelease"
