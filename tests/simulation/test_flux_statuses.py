"""How Flux's controllers say what they do: words and orders read in their sources (kustomize 1.7.3, helm 1.4.0)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from abdrift.simulation import SimCluster, SimulatedFleet
from abdrift.simulation.apiserver import MERGE, Options, Target
from abdrift.simulation.helm_actions import TEST
from abdrift.simulation.objects import Object, condition
from abdrift.simulation.spec import RELEASE

FLUX = "flux-system"
CHART = f"{FLUX}-{RELEASE}"
TEMPLATES = f"charts/{RELEASE}/templates/all.yaml"


def edit(cluster: SimCluster, kind: str, name: str, body: Any, media_type: str = MERGE) -> None:
    cluster.api.patch(Target(cluster.kind(kind), FLUX, name), media_type, body, Options("flux"))


def get(cluster: SimCluster, kind: str, name: str, namespace: str = FLUX) -> Object:
    return cluster.api.get(cluster.kind(kind), namespace, name)


def said(cluster: SimCluster, name: str) -> list[tuple[str, str, str]]:
    found = cluster.api.list(cluster.kind("Event"), FLUX)
    return [(e["type"], e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]


def statuses(cluster: SimCluster, kind: str) -> list[Object]:
    """Collect the statuses of a kind as they are written from now on."""
    seen: list[Object] = []

    def listen(written: Any, change: Any) -> None:
        if written.name == kind and change.new is not None:
            seen.append(change.new.value()["status"])

    cluster.api.store.listen(listen)
    return seen


def is_ready(status: Object) -> bool:
    return condition({"status": status}, "Ready").get("status") == "True"


STEPS = {
    "kustomization": ("Kustomization", "apps"),
    "git-repository": ("GitRepository", "site"),
    "helm-release": ("HelmRelease", RELEASE),
}


@pytest.mark.parametrize(("kind", "name"), STEPS.values(), ids=STEPS)
def test_conditions_are_written_before_the_rest(
    fleet: SimulatedFleet, cluster: SimCluster, request_reconcile: Callable[..., Object], kind: str, name: str
) -> None:
    fleet.git.commit(fleet.site_repository(cluster.name), {"extras/extra-00.yaml": None}, message="drop")
    if kind == "Kustomization":
        request_reconcile("GitRepository", "site")
    seen = statuses(cluster, kind)
    request_reconcile(kind, name, at="two-steps")
    handled = [status.get("lastHandledReconcileAt") == "two-steps" for status in seen]
    assert handled[-1]
    assert any(is_ready(status) and not done for status, done in zip(seen, handled, strict=True))


MANAGERS = {
    "kustomization": ("Kustomization", "apps", "gotk-kustomize-controller"),
    "git-repository": ("GitRepository", "site", "source-controller"),
    "helm-chart": ("HelmChart", CHART, "source-controller"),
    "helm-release": ("HelmRelease", RELEASE, "helm-controller"),
}


@pytest.mark.parametrize(("kind", "name", "manager"), MANAGERS.values(), ids=MANAGERS)
def test_status_managers(cluster: SimCluster, kind: str, name: str, manager: str) -> None:
    entries = get(cluster, kind, name)["metadata"]["managedFields"]
    assert {each["manager"] for each in entries if each.get("subresource") == "status"} == {manager}


def test_a_helm_chart_is_applied_and_labelled(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    chart = get(cluster, "HelmChart", CHART)
    assert chart["metadata"]["labels"] == {
        "helm.toolkit.fluxcd.io/name": RELEASE,
        "helm.toolkit.fluxcd.io/namespace": FLUX,
    }
    first = chart["metadata"]["managedFields"][0]
    assert (first["manager"], first["operation"]) == ("helm-controller", "Apply")
    edit(cluster, "HelmRelease", RELEASE, {"spec": {"chart": {"spec": {"interval": "7m"}}}})
    fleet.schedule.advance(2)
    assert get(cluster, "HelmChart", CHART)["spec"]["interval"] == "7m"
    assert "HelmChartConfigured" in [reason for _, reason, _ in said(cluster, RELEASE)]


def release_after(cluster: SimCluster, fleet: SimulatedFleet, spec: Object) -> Object:
    edit(cluster, "HelmRelease", RELEASE, {"spec": spec})
    fleet.schedule.advance(12)
    return get(cluster, "HelmRelease", RELEASE)


REFUSED = 'Deployment.apps "gateway" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
UPGRADE_FAILED = (
    "Helm upgrade failed for release radio/gateway with chart gateway@0.1.0: "
    f'cannot patch "gateway" with kind Deployment: {REFUSED}'
)
ROLLED_BACK = "Helm rollback to previous release radio/gateway.v1 with chart gateway@0.1.0 succeeded"
FAILED_UPGRADES = {
    "no-remediation": ({}, "UpgradeFailed", UPGRADE_FAILED, 1, ["failed", "deployed"]),
    "last-is-remediated": (
        {"remediation": {"remediateLastFailure": True}},
        "RollbackSucceeded",
        ROLLED_BACK,
        1,
        ["deployed", "failed", "superseded"],
    ),
}


@pytest.mark.parametrize(
    ("upgrade", "reason", "message", "attempts", "history"), FAILED_UPGRADES.values(), ids=FAILED_UPGRADES
)
def test_failed_upgrades(
    cluster: SimCluster,
    fleet: SimulatedFleet,
    upgrade: Object,
    reason: str,
    message: str,
    attempts: int,
    history: list[str],
) -> None:
    release = release_after(cluster, fleet, {"values": {"replicas": -1}, "upgrade": upgrade})
    ready = condition(release, "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", reason, message)
    stalled = condition(release, "Stalled")
    assert (stalled["reason"], stalled["message"]) == (
        "RetriesExceeded",
        f"Failed to upgrade after {attempts} attempt(s)",
    )
    assert not condition(release, "Reconciling")
    assert [each["status"] for each in release["status"]["history"]] == history
    assert ("Warning", "UpgradeFailed", UPGRADE_FAILED) in said(cluster, RELEASE)


def test_an_upgrade_is_retried_after_each_rollback(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    spec = {"values": {"replicas": -1}, "upgrade": {"remediation": {"retries": 2}}}
    release = release_after(cluster, fleet, spec)
    assert release["status"]["upgradeFailures"] == 3
    assert condition(release, "Stalled")["message"] == "Failed to upgrade after 3 attempt(s)"
    assert condition(release, "Ready")["reason"] == "RollbackSucceeded"
    healed = release_after(cluster, fleet, {"values": {"replicas": 3}})
    assert condition(healed, "Ready")["reason"] == "UpgradeSucceeded"
    assert not condition(healed, "Stalled")
    assert not {"failures", "upgradeFailures"} & healed["status"].keys()


def reinstalled(cluster: SimCluster, fleet: SimulatedFleet, **spec: Any) -> Object:
    """Delete the HelmRelease and create it anew with another spec."""
    old = get(cluster, "HelmRelease", RELEASE)
    cluster.api.delete(Target(cluster.kind("HelmRelease"), FLUX, RELEASE), Options("kubectl"))
    fleet.schedule.advance(1)
    cluster.api.store.compact()
    new = {"metadata": {"name": RELEASE, "namespace": FLUX}, "spec": {**old["spec"], **spec}}
    cluster.api.create(cluster.kind("HelmRelease"), FLUX, new, Options("flux"))
    fleet.schedule.advance(45)
    return get(cluster, "HelmRelease", RELEASE)


def test_a_failed_install(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    release = reinstalled(cluster, fleet, values={"replicas": -1})
    assert condition(release, "Ready")["message"] == (
        f"Helm install failed for release radio/gateway with chart gateway@0.1.0: 1 error occurred:\n\t* {REFUSED}"
    )
    assert condition(release, "Stalled")["message"] == "Failed to install after 1 attempt(s)"
    deleted = [message for _, reason, message in said(cluster, RELEASE) if reason == "UninstallSucceeded"]
    assert deleted == ["Helm uninstall succeeded for release radio/gateway.v1 with chart gateway@0.1.0"]


def test_a_failed_install_is_uninstalled_between_attempts(cluster: SimCluster, fleet: SimulatedFleet) -> None:
    install = {"disableWait": True, "remediation": {"retries": 1}}
    release = reinstalled(cluster, fleet, values={"replicas": -1}, install=install)
    assert release["status"]["installFailures"] == 2
    assert (
        "Normal",
        "UninstallSucceeded",
        "Helm uninstall remediation for release radio/gateway.v1 with chart gateway@0.1.0 succeeded",
    ) in said(cluster, RELEASE)


TESTS = {
    "succeeds": ("passes", "True", "TestSucceeded", "1 test hook completed successfully", {"Ready", "TestSuccess"}),
    "fails": ("fails", "False", "TestFailed", "1 error occurred:\n\t* pod gateway-test failed", {"Stalled"}),
}


@pytest.mark.parametrize(("told", "status", "reason", "detail", "present"), TESTS.values(), ids=TESTS)
def test_helm_tests(
    cluster: SimCluster, fleet: SimulatedFleet, told: str, status: str, reason: str, detail: str, present: set[str]
) -> None:
    url = fleet.fleet_repository
    templates = json.loads(json.dumps(fleet.git.repositories[url].head().tree[TEMPLATES]))
    templates[1]["metadata"]["annotations"] = {TEST: told}
    chart = {"name": RELEASE, "version": "0.2.0"}
    changes = {TEMPLATES: tuple(templates), f"charts/{RELEASE}/Chart.yaml": (chart,)}
    fleet.git.commit(url, changes, message="test it")
    edit(cluster, "HelmRelease", RELEASE, {"spec": {"test": {"enable": True}}})
    edit(cluster, "GitRepository", "fleet", {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}})
    fleet.schedule.advance(10)
    release = get(cluster, "HelmRelease", RELEASE)
    ready = condition(release, "Ready")
    words = "failed" if status == "False" else "succeeded"
    message = f"Helm test {words} for release radio/gateway.v2 with chart gateway@0.2.0: {detail}"
    assert (ready["status"], ready["reason"], ready["message"]) == (status, reason, message)
    assert present <= {each["type"] for each in release["status"]["conditions"]}


def test_an_unreachable_source(
    fleet: SimulatedFleet, cluster: SimCluster, request_reconcile: Callable[..., Object]
) -> None:
    repository = fleet.git.repositories[fleet.site_repository(cluster.name)]
    repository.unreachable = True
    source = request_reconcile("GitRepository", "site")
    words = f"failed to checkout and determine revision: unable to list remote for '{repository.url}'"
    assert {(c["type"], c["status"], c["reason"]) for c in source["status"]["conditions"]} == {
        ("Ready", "False", "GitOperationFailed"),
        ("FetchFailed", "True", "GitOperationFailed"),
        ("ArtifactInStorage", "True", "Succeeded"),
        ("Reconciling", "True", "ProgressingWithRetry"),
    }
    assert condition(source, "Ready")["message"] == condition(source, "FetchFailed")["message"] == words
    repository.unreachable = False
    fleet.schedule.advance(10)
    assert {c["type"] for c in get(cluster, "GitRepository", "site")["status"]["conditions"]} == {
        "Ready",
        "ArtifactInStorage",
    }


PATHS = {
    "no-such-path": (
        {"path": "./nowhere"},
        "kustomization path not found: stat ./nowhere: no such file or directory",
    ),
    "no-such-source": (
        {"sourceRef": {"kind": "GitRepository", "name": "gone"}},
        'gitrepositories.source.toolkit.fluxcd.io "gone" not found',
    ),
}


@pytest.mark.parametrize(("spec", "message"), PATHS.values(), ids=PATHS)
def test_a_kustomization_without_its_manifests(
    cluster: SimCluster, fleet: SimulatedFleet, spec: Object, message: str
) -> None:
    edit(cluster, "Kustomization", "extras", {"spec": spec})
    fleet.schedule.advance(2)
    ready = condition(get(cluster, "Kustomization", "extras"), "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "ArtifactFailed", message)
