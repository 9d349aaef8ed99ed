"""HelmReleases: what their manifests say, what corrects them, what they try and fail."""

from typing import Any

import pytest

from abdrift.facts.governance import DriftAllowance, Policy
from streams.drift.order import READ_PATIENCE_MS
from tests.streams.drift.scenario import (
    KUSTOMIZATION,
    T0_MS,
    Scenario,
    edited,
    entry,
    fields,
    repository,
    rfc,
)

LATER_MS = T0_MS + 60_000
LABELS = {"helm.toolkit.fluxcd.io/name": "demo", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
V1, V2 = "0.1.0+aaaaaaaaaaaa", "0.1.0+bbbbbbbbbbbb"
MINE = ("metadata.labels.helm!toolkit!fluxcd!io/name", "spec.replicas", "spec.template")


def release(**more: Any) -> dict[str, Any]:
    """A HelmRelease as Flux 2.7 keeps it. `more` replaces parts of spec, status or the Ready condition."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "InstallSucceeded",
        "message": "said",
        **more.get("ready", {}),
    }
    version = more.get("version", 1)
    chart = more.get("chart", V1)
    history = {"chartVersion": chart, "status": "deployed", "version": version, "digest": f"d{version}"}
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "demo", "namespace": "flux-system", "uid": "uid-demo", "generation": 1},
        "spec": {"chart": {"spec": {"sourceRef": {"kind": "GitRepository", "name": "fleet"}}}, **more.get("spec", {})},
        "status": {
            "observedGeneration": 1,
            "lastAttemptedRevision": more.get("attempted", chart),
            "helmChart": "flux-system/flux-system-demo",
            "history": [{**history, "lastDeployed": rfc(T0_MS), **more.get("newest", {})}],
            "conditions": [*more.get("conditions", []), ready],
            **more.get("status", {}),
        },
    }


def detecting(mode: str, **more: Any) -> dict[str, Any]:
    return release(spec={"driftDetection": {"mode": mode, **more}})


def chart(revision: str = V1) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": "flux-system-demo", "namespace": "flux-system", "uid": "uid-chart"},
        "spec": {"chart": "./charts/demo"},
        "status": {"artifact": {"revision": revision}, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def declared(replicas: int = 2, **metadata: Any) -> dict[str, Any]:
    """The Deployment as the chart renders it, without a namespace."""
    container = {"name": "web", "image": "web:1.0.0"}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    named = {"name": "demo-web", "labels": dict(LABELS), **metadata}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": spec}


def live(replicas: int = 2, written_ms: int = T0_MS, operation: str = "Update") -> dict[str, Any]:
    made = declared(replicas, namespace="demo", uid="uid-web")
    made["metadata"]["managedFields"] = [entry("helm-controller", operation, written_ms, *MINE)]
    made["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    return made


def scaled(replicas: int = 6, written_ms: int = T0_MS) -> dict[str, Any]:
    by = entry("kubectl", "Update", None, "spec.replicas", sub="scale")
    made = edited(live(written_ms=written_ms), "/spec/replicas", replicas, by)
    del made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"]
    return made


def manifest(*objects: dict[str, Any], version: int = 1, error: str | None = None) -> dict[str, Any]:
    listed = [{**each, "metadata": {**each["metadata"], "namespace": "demo"}} for each in objects]
    return {
        "apiVersion": "abdrift.dev/v1",
        "kind": "HelmManifest",
        "metadata": {"name": "demo", "namespace": "flux-system", "uid": "uid-demo"},
        "release": "demo",
        "storageNamespace": "demo",
        "version": version,
        "status": "deployed",
        "objects": listed,
        "error": error,
    }


def running(*more: dict[str, Any]) -> Scenario:
    first = more or (release(), manifest(declared()), live())
    return Scenario().started(repository(), chart(), *first)


def test_a_releases_manifest_proves_its_objects_at_first_sight() -> None:
    scenario = running().tick(1_000)
    assert (scenario.verdict().verdict, scenario.verdict().proven) == ("in-sync", 1)
    assert scenario.verdict().artifact_revision == scenario.verdict().applied_revision == V1


@pytest.mark.parametrize(
    ("mode", "corrects"),
    [("", "no"), ("disabled", "no"), ("warn", "no"), ("enabled", "yes")],
    ids=["absent", "off", "warn", "on"],
)
def test_an_edit_is_found_whatever_flux_detects_itself(mode: str, corrects: str) -> None:
    owner = detecting(mode) if mode else release()
    scenario = running(owner, manifest(declared()), live()).after(5_000).see(scaled())
    (found,) = scenario.open()
    assert [(f.path, f.old, f.new) for f in found.fields] == [("/spec/replicas", 2, 6)]
    assert (found.certainty, found.reconcile_corrects) == ("proven", corrects)
    assert corrects == "yes" or "driftDetection" in (found.reconcile_corrects_reason or "")
    scenario.see(live(written_ms=LATER_MS))
    assert scenario.closed() == ["changed corrected"]


def test_an_addition_to_a_releases_object_stays() -> None:
    owner = detecting("enabled")
    added = edited(
        live(), "/metadata/labels/oncall", "me", entry("kubectl", "Update", LATER_MS, "metadata.labels.oncall")
    )
    scenario = running(owner, manifest(declared()), live()).see(added)
    assert [(f.op, f.path) for f in scenario.open()[0].fields] == [("add", "/metadata/labels/oncall")]
    assert scenario.open()[0].reconcile_corrects == "no"


def test_a_deleted_object_of_a_release_is_found() -> None:
    scenario = running(detecting("enabled"), manifest(declared()), live()).delete(live()).tick(READ_PATIENCE_MS)
    assert scenario.kinds() == ["deleted demo-web"]


@pytest.mark.parametrize("order", ["manifest first", "release first"])
def test_an_upgrade_is_no_drift_in_whatever_order_its_rows_come(order: str) -> None:
    scenario = running().after(5_000)
    busy = release(
        ready={"status": "Unknown", "reason": "Progressing"}, conditions=[{"type": "Reconciling", "status": "True"}]
    )
    scenario.see(chart(V2)).see(busy).see(live(4, LATER_MS))
    done, told = release(version=2, chart=V2), manifest(declared(4), version=2)
    for each in (told, done) if order == "manifest first" else (done, told):
        scenario.after(50).see(each)
    scenario.tick(1_000)
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"
    scenario.see(scaled(9, LATER_MS))
    assert scenario.open()[0].fields[0].old == 4


def test_a_manifest_that_cannot_be_read_is_unknown_and_makes_no_orphans() -> None:
    scenario = running(release(), manifest(error="unreadable: forbidden"), live()).see(scaled()).tick(60_000)
    assert scenario.findings() == []
    assert "manifest-unreadable" in scenario.verdict().reasons
    scenario.see(manifest(declared())).tick(1_000)
    assert scenario.kinds() == ["changed demo-web"]


def test_a_manifest_with_neither_objects_nor_an_error_is_refused() -> None:
    broken = manifest()
    del broken["objects"]
    scenario = running(release(), broken)
    assert [each.reason for each in scenario.refused] == ["bad-row"]


def test_what_a_release_opts_out_of_is_exempt() -> None:
    target = {"kind": "Deployment"}
    ignoring = detecting("enabled", ignore=[{"paths": ["/spec/replicas"], "target": target}])
    scenario = running(ignoring, manifest(declared()), live()).see(scaled())
    assert scenario.findings() == []
    out = {"helm.toolkit.fluxcd.io/driftDetection": "disabled"}
    scenario = running(
        release(), manifest(declared(annotations=out)), edited(live(), "/metadata/annotations", out)
    ).see(edited(scaled(), "/metadata/annotations", out))
    assert scenario.findings() == []
    assert scenario.verdict().exempt == 1


def test_a_release_that_ignores_a_whole_object_exempts_it() -> None:
    ignoring = detecting("enabled", ignore=[{"paths": [""], "target": {"kind": "Deployment"}}])
    scenario = running(ignoring, manifest(declared()), live()).see(scaled())
    assert scenario.findings() == []
    assert scenario.verdict().exempt == 1


def test_a_rule_of_flux_that_cannot_be_read_leaves_its_objects_unknown() -> None:
    ignoring = detecting("enabled", ignore=[{"paths": ["no pointer"]}])
    scenario = running(ignoring, manifest(declared()), live()).see(scaled())
    assert scenario.findings() == []
    assert "objects-unknown" in scenario.verdict().reasons


def test_newer_flux_says_an_inventory_and_applies() -> None:
    inventory = {"inventory": {"entries": [{"id": "demo_demo-web_apps_Deployment", "v": "v1"}]}}
    applied = live(operation="Apply")
    scenario = running(release(status=inventory), applied)
    assert scenario.verdict().unproven == 1
    busy = release(
        status=inventory, ready={"status": "Unknown"}, conditions=[{"type": "Reconciling", "status": "True"}]
    )
    scenario.see(busy).after(100).see(release(status=inventory)).tick(1_000)
    assert scenario.verdict().verdict == "in-sync"
    edit = edited(applied, "/spec/replicas", 6, entry("kubectl", "Update", None, "spec.replicas", sub="scale"))
    edit["metadata"]["managedFields"][0]["fieldsV1"] = fields("spec.template")
    scenario.see(edit)
    assert [(f.path, f.old, f.new) for f in scenario.open()[0].fields] == [("/spec/replicas", 2, 6)]


def test_an_inventory_without_a_manifest_or_an_apply_is_unknown() -> None:
    inventory = {"inventory": {"entries": [{"id": "demo_demo-web_apps_Deployment", "v": "v1"}]}}
    scenario = running(release(status=inventory), live())
    assert "objects-unknown" in scenario.verdict().reasons


FAILURES: dict[str, dict[str, Any]] = {
    reason: {"ready": {"status": "False", "reason": reason}}
    for reason in (
        "InstallFailed",
        "UpgradeFailed",
        "TestFailed",
        "RollbackFailed",
        "UninstallFailed",
        "ArtifactFailed",
        "RetriesExceeded",
    )
}


@pytest.mark.parametrize("more", FAILURES.values(), ids=FAILURES)
def test_each_way_to_fail_is_told(more: dict[str, Any]) -> None:
    scenario = running(release(**more), manifest(declared()), live())
    (found,) = scenario.open()
    assert found.kind == "failing"
    assert more["ready"]["reason"] in found.message


def test_a_failed_upgrade_tells_of_its_rollback_and_its_test() -> None:
    conditions = [
        {"type": "Remediated", "status": "True", "reason": "RollbackSucceeded", "message": "rolled back"},
        {"type": "TestSuccess", "status": "False", "reason": "TestFailed", "message": "1 test"},
    ]
    failed = {"status": "False", "reason": "UpgradeFailed"}
    scenario = running(release(ready=failed, conditions=conditions, newest={"status": "superseded"}))
    assert "RollbackSucceeded: rolled back" in scenario.open()[0].message
    assert "TestFailed: 1 test" in scenario.open()[0].message


def test_a_chart_that_is_ahead_is_behind() -> None:
    policy = Policy(allowance=DriftAllowance(behind_after_seconds=0))
    scenario = running().policy(policy).see(chart(V2))
    (found,) = scenario.open()
    assert (found.kind, found.applied_revision, found.desired and found.desired.revision) == ("behind", V1, V2)


@pytest.mark.parametrize(
    ("attempted", "artifact", "behind"),
    [("1.2.3+abcdef123456", "1.2.3@sha256:abcdef123456", False), ("1.2.3+abc", "1.3.0@sha256:def", True)],
    ids=["at it", "behind it"],
)
def test_a_chart_from_an_oci_repository(attempted: str, artifact: str, behind: bool) -> None:
    source = {**chart(artifact), "kind": "OCIRepository"}
    source["metadata"] = {"name": "charts", "namespace": "flux-system", "uid": "u"}
    owner = release(spec={"chartRef": {"kind": "OCIRepository", "name": "charts"}}, chart=attempted)
    policy = Policy(allowance=DriftAllowance(behind_after_seconds=0))
    scenario = Scenario().policy(policy).started(source, owner, manifest(declared()), live())
    assert [each.kind for each in scenario.open()] == (["behind"] if behind else [])
    assert behind or scenario.verdict().artifact_revision == attempted


def test_a_chart_that_status_does_not_name_yet_is_found_by_its_name() -> None:
    owner = release()
    del owner["status"]["helmChart"]
    policy = Policy(allowance=DriftAllowance(behind_after_seconds=0))
    scenario = Scenario().policy(policy).started(repository(), chart(V2), owner, manifest(declared()), live())
    assert [each.kind for each in scenario.open()] == ["behind"]
    assert KUSTOMIZATION
