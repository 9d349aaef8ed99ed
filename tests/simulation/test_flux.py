"""Flux's behaviour against what the traces of real Flux 2.7 show."""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from abdrift.simulation import SimCluster, SimulatedFleet
from abdrift.simulation.apiserver import JSON, MERGE, STRATEGIC, Options, Target
from abdrift.simulation.objects import Object, condition
from abdrift.simulation.spec import RELEASE

FLUX = "flux-system"
WEB = ("radio", "app-01")


def conditions(obj: Object) -> list[tuple[str, str, str]]:
    return [(each["type"], each["status"], each["reason"]) for each in obj["status"]["conditions"]]


def events(cluster: SimCluster) -> list[tuple[str, str, str, str]]:
    found = cluster.api.list(cluster.kind("Event"), FLUX)
    return [(e["type"], e["reason"], e["involvedObject"]["name"], e["message"]) for e in found]


def edit(
    cluster: SimCluster, kind: str, at: tuple[str, str], body: Any, manager: str, media_type: str = MERGE
) -> Object:
    subresource = "scale" if manager == "kubectl" else ""
    return cluster.api.patch(Target(cluster.kind(kind), *at, subresource), media_type, body, Options(manager))


def get(cluster: SimCluster, kind: str, at: tuple[str, str]) -> Object:
    return cluster.api.get(cluster.kind(kind), *at)


def test_installed_as_the_first_trace_shows(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    apps = get(cluster, "Kustomization", (FLUX, "apps"))
    head = fleet.git.repositories[fleet.site_repository(cluster.name)].head()
    revision = f"main@sha1:{head.sha}"
    assert conditions(apps) == [("Ready", "True", "ReconciliationSucceeded")]
    assert apps["status"]["lastAppliedRevision"] == apps["status"]["lastAttemptedRevision"] == revision
    assert {"id": "radio_app-01_apps_Deployment", "v": "v1"} in apps["status"]["inventory"]["entries"]
    assert apps["status"]["history"][0]["totalReconciliations"] == 1
    source = get(cluster, "GitRepository", (FLUX, "site"))
    assert [(c["type"], c["message"]) for c in source["status"]["conditions"]] == [
        (kind, f"stored artifact for revision '{revision}'") for kind in ("Ready", "ArtifactInStorage")
    ]
    assert ("Normal", "NewArtifact", "site", "stored artifact for commit 'initial'") in events(cluster)
    web = get(cluster, "Deployment", WEB)
    apply_entry = web["metadata"]["managedFields"][0]
    assert (apply_entry["manager"], apply_entry["operation"]) == ("kustomize-controller", "Apply")
    assert apply_entry["fieldsV1"]["f:spec"]["f:strategy"] == {}
    assert web["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    assert web["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


DRIFT = {
    "image": ({"image": "hot:fix"}, "kubectl-set"),
    "env-value-and-addition": (
        {"env": [{"name": "COLOR", "value": "red"}, {"name": "DEBUG", "value": "1"}]},
        "kubectl-set",
    ),
    "operator-on-an-owned-field": ({"image": "web:op"}, "my-operator"),
    "as-the-controller": ({"image": "web:quiet"}, "kustomize-controller"),
}


@pytest.mark.parametrize(("fields", "manager"), DRIFT.values(), ids=DRIFT)
def test_git_owned_fields_come_back(
    cluster: SimCluster, request_reconcile: Callable[..., Object], fields: Object, manager: str
) -> None:
    before = get(cluster, "Deployment", WEB)
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}}
    edit(cluster, "Deployment", WEB, body, manager, STRATEGIC)
    assert get(cluster, "Deployment", WEB)["spec"] != before["spec"]
    apps = request_reconcile("Kustomization", "apps")
    after = get(cluster, "Deployment", WEB)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 2
    assert ("Normal", "Progressing", "apps", "Deployment/radio/app-01 configured") in events(cluster)
    assert apps["status"]["lastHandledReconcileAt"] == "now"


def test_scaling_comes_back(cluster: SimCluster, request_reconcile: Callable[..., Object]) -> None:
    edit(cluster, "Deployment", WEB, {"spec": {"replicas": 5}}, "kubectl")
    request_reconcile("Kustomization", "apps")
    after = get(cluster, "Deployment", WEB)
    assert after["spec"]["replicas"] == 2
    assert [entry["manager"] for entry in after["metadata"]["managedFields"]] == [
        "kustomize-controller",
        "kube-controller-manager",
    ]


def test_a_removed_field_comes_back(cluster: SimCluster, request_reconcile: Callable[..., Object]) -> None:
    before = get(cluster, "Deployment", WEB)["spec"]
    path = "/spec/template/spec/containers/0/env"
    edit(cluster, "Deployment", WEB, [{"op": "remove", "path": path}], "kubectl-edit", JSON)
    request_reconcile("Kustomization", "apps")
    assert get(cluster, "Deployment", WEB)["spec"] == before


def test_kubectls_additions_go_and_an_operators_stay(
    cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    edit(cluster, "Deployment", WEB, {"metadata": {"labels": {"oncall": "alice"}}}, "kubectl-label")
    edit(cluster, "Deployment", WEB, {"spec": {"minReadySeconds": 7}}, "kubectl-patch")
    edit(cluster, "Deployment", WEB, {"spec": {"revisionHistoryLimit": 3}}, "my-operator")
    request_reconcile("Kustomization", "apps")
    after = get(cluster, "Deployment", WEB)
    assert "oncall" not in after["metadata"]["labels"]
    assert "minReadySeconds" not in after["spec"]
    assert after["spec"]["revisionHistoryLimit"] == 3


def test_a_reconcile_that_changes_nothing_leaves_objects_alone(
    cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    before = get(cluster, "Deployment", WEB)
    request_reconcile("Kustomization", "apps")
    assert get(cluster, "Deployment", WEB) == before


def test_a_deleted_object_comes_back_under_a_new_uid(
    cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    before = get(cluster, "ConfigMap", WEB)
    cluster.api.delete(Target(cluster.kind("ConfigMap"), *WEB), Options("kubectl"))
    request_reconcile("Kustomization", "apps")
    after = get(cluster, "ConfigMap", WEB)
    assert after["data"] == before["data"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert ("Normal", "Progressing", "apps", "ConfigMap/radio/app-01 created") in events(cluster)


OPT_OUTS = {
    "reconcile-disabled": ("kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
    "if-not-present": ("kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
    "ignore": ("kustomize.toolkit.fluxcd.io/ssa", "Ignore"),
}


@pytest.mark.parametrize(("key", "value"), OPT_OUTS.values(), ids=OPT_OUTS)
def test_an_object_that_opts_out_is_left(
    cluster: SimCluster, request_reconcile: Callable[..., Object], key: str, value: str
) -> None:
    edit(cluster, "Deployment", WEB, {"metadata": {"annotations": {key: value}}}, "kubectl-annotate")
    edit(cluster, "Deployment", WEB, {"spec": {"replicas": 9}}, "kubectl")
    apps = request_reconcile("Kustomization", "apps")
    assert get(cluster, "Deployment", WEB)["spec"]["replicas"] == 9
    assert conditions(apps) == [("Ready", "True", "ReconciliationSucceeded")]


def test_git_ahead_waits_for_the_source(
    fleet: SimulatedFleet, cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    url = fleet.site_repository(cluster.name)
    commit = fleet.git.commit(url, {"extras/extra-00.yaml": None}, message="drop")
    assert commit.sha not in request_reconcile("Kustomization", "apps")["status"]["lastAppliedRevision"]
    request_reconcile("GitRepository", "site")
    assert commit.sha in get(cluster, "Kustomization", (FLUX, "apps"))["status"]["lastAppliedRevision"]
    # `extras` does not prune: what left Git stays behind with its labels, in no inventory.
    orphan = get(cluster, "ConfigMap", ("shop", "extra-00"))
    extras = get(cluster, "Kustomization", (FLUX, "extras"))
    assert orphan["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "extras"
    assert "shop_extra-00__ConfigMap" not in [e["id"] for e in extras["status"]["inventory"]["entries"]]


def test_pruning_comes_before_the_inventory(
    fleet: SimulatedFleet, cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    order: list[str] = []

    def listen(kind: Any, change: Any) -> None:
        if kind.name == "ConfigMap" and change.new is None:
            order.append("pruned")
        elif kind.name == "Kustomization" and change.new and b"app-02_apps" not in change.new.raw:
            order.append("inventory")

    fleet.git.commit(fleet.site_repository(cluster.name), {"apps/app-02.yaml": None}, message="drop")
    cluster.api.store.listen(listen)
    request_reconcile("GitRepository", "site")
    assert "pruned" in order
    assert order.index("pruned") < len(order) - 1 - order[::-1].index("inventory")
    assert cluster.api.find(cluster.kind("Deployment"), "shop", "app-02") is None


def test_suspended_still_marks_requests_as_handled(
    fleet: SimulatedFleet, cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    edit(cluster, "Kustomization", (FLUX, "apps"), {"spec": {"suspend": True}}, "kubectl-patch")
    edit(cluster, "Deployment", WEB, {"spec": {"replicas": 9}}, "kubectl")
    apps = request_reconcile("Kustomization", "apps", at="while-suspended")
    assert apps["status"]["lastHandledReconcileAt"] == "while-suspended"
    assert apps["status"]["observedGeneration"] == 2
    assert condition(apps, "Ready")["observedGeneration"] == 1
    assert get(cluster, "Deployment", WEB)["spec"]["replicas"] == 9
    edit(cluster, "Kustomization", (FLUX, "apps"), {"spec": {"suspend": False}}, "kubectl-patch")
    fleet.schedule.advance(1.5)
    assert get(cluster, "Deployment", WEB)["spec"]["replicas"] == 2


def test_a_bad_commit_fails_as_observed(
    fleet: SimulatedFleet, cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    url = fleet.site_repository(cluster.name)
    tree = fleet.git.repositories[url].head().tree
    parts = json.loads(json.dumps(tree["apps/app-01.yaml"]))
    parts[0]["spec"]["replicas"] = -1
    good = get(cluster, "Kustomization", (FLUX, "apps"))["status"]["lastAppliedRevision"]
    bad = fleet.git.commit(url, {"apps/app-01.yaml": tuple(parts)}, message="bad")
    request_reconcile("GitRepository", "site")
    apps = get(cluster, "Kustomization", (FLUX, "apps"))
    assert conditions(apps) == [
        ("Reconciling", "True", "ProgressingWithRetry"),
        ("Ready", "False", "ReconciliationFailed"),
    ]
    assert condition(apps, "Ready")["message"] == (
        'Deployment/radio/app-01 dry-run failed (Invalid): Deployment.apps "app-01" is invalid: '
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n"
    )
    assert condition(apps, "Reconciling")["message"].startswith("Detecting drift for revision main@sha1:")
    assert condition(apps, "Reconciling")["message"].endswith("with a timeout of 30s")
    assert apps["status"]["lastAppliedRevision"] == good
    assert apps["status"]["lastAttemptedRevision"] == f"main@sha1:{bad.sha}"
    assert request_reconcile("Kustomization", "apps", at="again")["status"]["lastHandledReconcileAt"] == "again"


def test_health_checks_fail_although_applied(fleet: SimulatedFleet, cluster: SimCluster) -> None:
    cluster.workloads.stuck.add(WEB)
    template = {"spec": {"template": {"metadata": {"annotations": {"rolled": "out"}}}}}
    edit(cluster, "Deployment", WEB, template, "my-operator")
    edit(cluster, "Kustomization", (FLUX, "apps"), {"spec": {"wait": True, "timeout": "6s"}}, "kubectl-patch")
    fleet.schedule.advance(3)
    apps = get(cluster, "Kustomization", (FLUX, "apps"))
    assert conditions(apps) == [
        ("Reconciling", "True", "Progressing"),
        ("Ready", "Unknown", "Progressing"),
        ("Healthy", "Unknown", "Progressing"),
    ]
    fleet.schedule.advance(6)
    apps = get(cluster, "Kustomization", (FLUX, "apps"))
    assert condition(apps, "Ready")["reason"] == condition(apps, "Healthy")["reason"] == "HealthCheckFailed"
    assert (
        condition(apps, "Healthy")["message"] == "timeout waiting for: [Deployment/radio/app-01 status: 'InProgress']"
    )
    assert apps["status"]["observedGeneration"] == 1


def test_events_are_lost_to_the_rate_limit(cluster: SimCluster, request_reconcile: Callable[..., Object]) -> None:
    for round_number in range(20):
        edit(cluster, "Deployment", WEB, {"spec": {"replicas": 10 + round_number}}, "kubectl")
        request_reconcile("Kustomization", "apps", at=str(round_number))
    assert cluster.runtime.events.lost > 0
    combined = [said for *_, said in events(cluster) if said.startswith("(combined from similar events): ")]
    assert combined


def release_secret(cluster: SimCluster, version: int) -> Object:
    secret = get(cluster, "Secret", ("radio", f"sh.helm.release.v1.{RELEASE}.v{version}"))
    decoded: Object = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    return decoded


def test_a_release_is_installed_as_observed(cluster: SimCluster) -> None:
    release = get(cluster, "HelmRelease", (FLUX, RELEASE))
    said = "Helm install succeeded for release radio/gateway.v1 with chart gateway@0.1.0"
    assert [(c["type"], c["reason"], c["message"]) for c in release["status"]["conditions"]] == [
        ("Ready", "InstallSucceeded", said),
        ("Released", "InstallSucceeded", said),
    ]
    assert release["status"]["history"][0]["status"] == "deployed"
    assert release["status"]["lastAttemptedReleaseAction"] == "install"
    stored = release_secret(cluster, 1)
    assert stored["info"]["status"] == "deployed"
    assert "kind: Deployment" in stored["manifest"]
    workload = get(cluster, "Deployment", ("radio", RELEASE))
    entry = workload["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("helm-controller", "Update")
    assert entry["fieldsV1"]["f:metadata"]["f:annotations"]["."] == {}
    assert workload["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert workload["metadata"]["annotations"]["meta.helm.sh/release-name"] == RELEASE


@pytest.mark.parametrize(
    ("mode", "replicas"), [(None, 8), ("warn", 8), ("enabled", 2)], ids=["absent", "warn", "enabled"]
)
def test_drift_detection(
    cluster: SimCluster, request_reconcile: Callable[..., Object], mode: str | None, replicas: int
) -> None:
    edit(cluster, "HelmRelease", (FLUX, RELEASE), {"spec": {"driftDetection": mode and {"mode": mode}}}, "flux")
    edit(cluster, "Deployment", ("radio", RELEASE), {"spec": {"replicas": 8}}, "kubectl")
    cluster.api.delete(Target(cluster.kind("ConfigMap"), "radio", f"{RELEASE}-cm"), Options("kubectl"))
    release = request_reconcile("HelmRelease", RELEASE)
    assert get(cluster, "Deployment", ("radio", RELEASE))["spec"]["replicas"] == replicas
    assert condition(release, "Ready")["reason"] == "InstallSucceeded"
    reasons = {(reason, message) for _, reason, name, message in events(cluster) if name == RELEASE}
    detected = (
        "Cluster state of release radio/gateway.v1 has drifted from the desired state:\n"
        "ConfigMap/radio/gateway-cm removed\n"
        "Deployment/radio/gateway changed (0 additions, 1 changes, 0 removals)"
    )
    assert (("DriftDetected", detected) in reasons) == (mode is not None)
    corrected = (
        "Cluster state of release radio/gateway.v1 has been corrected:\n"
        "ConfigMap/radio/gateway-cm created\nDeployment/radio/gateway configured"
    )
    assert (("DriftCorrected", corrected) in reasons) == (mode == "enabled")


def test_force_is_an_upgrade(cluster: SimCluster, request_reconcile: Callable[..., Object]) -> None:
    edit(cluster, "HelmRelease", (FLUX, RELEASE), {"spec": {"driftDetection": None}}, "flux")
    edit(cluster, "Deployment", ("radio", RELEASE), {"spec": {"replicas": 8}}, "kubectl")
    release = request_reconcile("HelmRelease", RELEASE, at="f1", **{"reconcile.fluxcd.io/forceAt": "f1"})
    assert release["status"]["lastHandledForceAt"] == "f1"
    assert [each["status"] for each in release["status"]["history"]] == ["deployed", "superseded"]
    assert get(cluster, "Deployment", ("radio", RELEASE))["spec"]["replicas"] == 2
    labels = get(cluster, "Secret", ("radio", f"sh.helm.release.v1.{RELEASE}.v1"))["metadata"]["labels"]
    assert labels["status"] == "superseded"


def test_a_failed_upgrade_is_rolled_back_where_asked(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    body = {"spec": {"values": {"replicas": -1}, "upgrade": {"remediation": {"remediateLastFailure": True}}}}
    edit(cluster, "HelmRelease", (FLUX, RELEASE), body, "flux")
    fleet.schedule.advance(2)
    release = get(cluster, "HelmRelease", (FLUX, RELEASE))
    assert condition(release, "Remediated")["reason"] == "RollbackSucceeded"
    assert condition(release, "Released")["reason"] == "UpgradeFailed"
    assert condition(release, "Ready")["status"] == "False"
    assert get(cluster, "Deployment", ("radio", RELEASE))["spec"]["replicas"] == 2


def test_a_deleted_release_is_uninstalled(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    cluster.api.delete(Target(cluster.kind("HelmRelease"), FLUX, RELEASE), Options("kubectl"))
    fleet.schedule.advance(1)
    for kind, at in (("HelmRelease", (FLUX, RELEASE)), ("Deployment", ("radio", RELEASE))):
        assert cluster.api.find(cluster.kind(kind), *at) is None
    assert not [each for each in cluster.api.list(cluster.kind("Secret")) if each["type"].startswith("helm.sh")]
