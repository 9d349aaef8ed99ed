"""What is not drift, or not ours to touch."""

from typing import Any

import pytest

from abdrift.facts.governance import IgnoreRule, Policy
from tests.streams.drift.scenario import T0_MS, Scenario, config, edited, entry, kustomization, repository, web

LATER_MS = T0_MS + 60_000
RULES = "/metadata/annotations"


def annotated(document: dict[str, Any], key: str, value: str, manager: str = "kubectl-annotate") -> dict[str, Any]:
    kept = document["metadata"].get("annotations", {})
    path = "metadata.annotations." + key.replace(".", "!")
    return edited(document, RULES, {**kept, key: value}, entry(manager, "Update", LATER_MS, path))


def hpa(minimum: int = 2, maximum: int = 9) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "demo", "uid": "uid-hpa"},
        "spec": {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum},
    }


def operator_field() -> dict[str, Any]:
    return edited(web(), "/spec/minReadySeconds", 7, entry("my-operator", "Update", LATER_MS, "spec.minReadySeconds"))


def spelled(**limits: str) -> dict[str, Any]:
    made = web()
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
    return made


QUIET: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a status": (web(), {**web(), "status": {"observedGeneration": 2, "replicas": 2}}),
    "the deployment controller's note": (
        web(),
        annotated(web(), "deployment.kubernetes.io/revision", "2", "kube-controller-manager"),
    ),
    "a default by nobody": (web(), edited(web(), "/spec/progressDeadlineSeconds", 600)),
    "a default that another manager claims": (
        web(),
        edited(
            web(),
            "/spec/revisionHistoryLimit",
            10,
            entry("my-operator", "Apply", LATER_MS, "spec.revisionHistoryLimit"),
        ),
    ),
    "a default within a list that another manager claims": (
        web(),
        edited(
            web(),
            "/spec/template/spec/containers/0/imagePullPolicy",
            "IfNotPresent",
            entry(
                "my-operator",
                "Apply",
                LATER_MS,
                "spec.template.spec.containers.[name=web].imagePullPolicy",
            ),
        ),
    ),
    "a request to reconcile": (web(), annotated(web(), "reconcile.fluxcd.io/requestedAt", "x")),
    "Abdrift's own note": (web(), annotated(web(), "abdrift.dev/note", "x")),
    "a finalizer": (
        web(),
        edited(web(), "/metadata/finalizers", ["x"], entry("my-operator", "Update", LATER_MS, "metadata.finalizers")),
    ),
    "quantities written otherwise": (spelled(cpu="500m", memory="1Gi"), spelled(cpu="0.5", memory="1024Mi")),
    "a controller's annotation": (
        web(),
        annotated(web(), "pv.kubernetes.io/bound", "yes", "kube-controller-manager"),
    ),
}


@pytest.mark.parametrize(("applied", "live"), QUIET.values(), ids=QUIET)
def test_it_is_no_drift(applied: dict[str, Any], live: dict[str, Any]) -> None:
    scenario = Scenario().proven(repository(), kustomization(), applied, config())
    assert scenario.verdict().verdict == "in-sync"
    scenario.after(5_000).see(live).tick(60_000)
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"


@pytest.mark.parametrize("value", ["IfNotPresent", "Ignore"])
@pytest.mark.parametrize("part", ["annotations", "labels"])
def test_what_an_object_opts_out_of_is_exempt(value: str, part: str) -> None:
    opted = edited(web(), f"/metadata/{part}/kustomize.toolkit.fluxcd.io~1ssa", value)
    scenario = Scenario().proven(repository(), kustomization(), opted, config())
    scenario.after(5_000).see(edited(opted, "/spec/replicas", 9, entry("kubectl", "Update", LATER_MS, "spec.replicas")))
    assert scenario.findings() == []
    assert (scenario.verdict().verdict, scenario.verdict().exempt) == ("in-sync", 1)


def test_opting_out_closes_what_was_open() -> None:
    scenario = Scenario().proven().after(5_000).see(operator_field())
    scenario.see(edited(operator_field(), "/metadata/annotations/kustomize.toolkit.fluxcd.io~1ssa", "Ignore"))
    assert scenario.closed() == ["changed exempt"]


def test_additions_to_a_merged_object_stay() -> None:
    merged = edited(web(), "/metadata/annotations/kustomize.toolkit.fluxcd.io~1ssa", "Merge")
    scenario = Scenario().proven(repository(), kustomization(), merged, config()).after(5_000)
    scenario.see(
        edited(merged, "/metadata/labels/oncall", "me", entry("kubectl", "Update", LATER_MS, "metadata.labels.oncall"))
    )
    assert scenario.open()[0].reconcile_corrects == "no"


RULED: dict[str, IgnoreRule] = {
    "by path": IgnoreRule(name="r", paths=("/spec/minReadySeconds",)),
    "by a path above": IgnoreRule(name="r", paths=("/spec",)),
    "by manager": IgnoreRule(name="r", managers=("my-operator",)),
    "by kind and namespace": IgnoreRule(name="r", kinds=("Deployment",), namespaces=("demo",)),
    "by name": IgnoreRule(name="r", names=("web",)),
}


@pytest.mark.parametrize("rule", RULED.values(), ids=RULED)
def test_an_ignore_rule_keeps_it_quiet_and_its_end_tells_it(rule: IgnoreRule) -> None:
    scenario = Scenario().proven().policy(Policy(ignore=(rule,))).after(5_000).see(operator_field()).tick(1_000)
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"
    scenario.policy(None).tick(1_000)
    assert scenario.kinds() == ["changed web"]


@pytest.mark.parametrize("rule", RULED.values(), ids=RULED)
def test_a_new_ignore_rule_closes_what_is_open(rule: IgnoreRule) -> None:
    scenario = Scenario().proven().after(5_000).see(operator_field()).policy(Policy(ignore=(rule,))).tick(1_000)
    assert scenario.closed() == ["changed exempt"]
    assert scenario.verdict().verdict == "in-sync"


@pytest.mark.parametrize(
    "rule",
    [
        IgnoreRule(name="r", paths=("/spec/minReady",)),
        IgnoreRule(name="r", paths=("/spec/minReadySeconds",), managers=("another",)),
        IgnoreRule(name="r", paths=("/spec/minReadySeconds",), kinds=("StatefulSet",)),
        IgnoreRule(name="r", names=("webby",)),
    ],
    ids=["another path", "another manager", "another kind", "another name"],
)
def test_an_ignore_rule_for_something_else_does_not_help(rule: IgnoreRule) -> None:
    scenario = Scenario().proven().policy(Policy(ignore=(rule,))).after(5_000).see(operator_field())
    assert scenario.kinds() == ["changed web"]


def test_fluxs_own_ignore_rules_count() -> None:
    spec = {"ignore": [{"paths": ["/spec/minReadySeconds"], "target": {"kind": "Deployment"}}]}
    scenario = Scenario().started(repository(), kustomization(spec=spec), web(), config()).reconciled(spec=spec)
    scenario.after(5_000).see(operator_field())
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"


@pytest.mark.parametrize(
    ("data", "reason"),
    [({"name": "p"}, "unsigned"), ({"signature": {"key_id": "k"}, "revision": -1}, "bad-policy")],
    ids=["unsigned", "malformed"],
)
def test_a_policy_that_cannot_be_trusted_changes_nothing(data: dict[str, Any], reason: str) -> None:
    scenario = Scenario().policy(data)
    assert [each.reason for each in scenario.refused] == [reason]
    assert "policy" not in scenario.cells


def freely_scaled(replicas: int, manager: str, sub: str = "scale") -> dict[str, Any]:
    made = edited(web(replicas=replicas), "/spec/paused", None or False, None, ("spec.replicas",))
    if manager:
        made["metadata"]["managedFields"].append(entry(manager, "Update", None, "spec.replicas", sub=sub))
    return made


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (freely_scaled(5, "kube-controller-manager"), []),
        (freely_scaled(5, "kubectl"), ["changed web"]),
    ],
    ids=["by the autoscaler", "by a person"],
)
def test_replicas_that_git_leaves_to_an_autoscaler(live: dict[str, Any], expected: list[str]) -> None:
    scenario = Scenario().proven(repository(), kustomization(), freely_scaled(2, ""), config(), hpa())
    scenario.after(5_000).see(live)
    assert scenario.kinds() == expected


def by_hpa(replicas: int) -> dict[str, Any]:
    by = entry("kube-controller-manager", "Update", None, "spec.replicas", sub="scale")
    return edited(web(), "/spec/replicas", replicas, by, ("spec.replicas",))


def test_replicas_that_git_and_an_autoscaler_both_set_are_contested() -> None:
    scenario = Scenario().proven(repository(), kustomization(), web(), config(), hpa()).after(5_000).see(by_hpa(5))
    (found,) = scenario.open()
    assert found.contested
    assert found.managers == ("kube-controller-manager",)
    scenario.delete(hpa())
    assert not scenario.open()[0].contested
    scenario.see({**hpa(), "spec": {}}, op="added")
    assert not scenario.open()[0].contested


def test_an_autoscaler_that_turns_to_another_target_lets_the_first_go() -> None:
    scenario = Scenario().proven(repository(), kustomization(), web(), config(), hpa()).after(5_000).see(by_hpa(5))
    moved = hpa()
    moved["spec"] = {"scaleTargetRef": {"kind": "Deployment", "apiVersion": "apps/v1", "name": "x"}, "maxReplicas": 3}
    scenario.see(moved)
    assert not scenario.open()[0].contested


@pytest.mark.parametrize(("manager", "expected"), [("abdrift-sink", 0), ("kubectl-patch", 1), ("operator", 1)])
def test_a_suspend_that_abdrift_wrote_is_no_edit_of_the_object(manager: str, expected: int) -> None:
    inner = kustomization()
    inner["metadata"]["name"] = "inner"
    inner["metadata"]["uid"] = "uid-inner"
    own = ("flux-system_inner_kustomize.toolkit.fluxcd.io_Kustomization",)
    scenario = Scenario().started(repository(), kustomization(entries=own), inner).reconciled(entries=own).after(5_000)
    scenario.see(edited(inner, "/spec/suspend", "yes", entry(manager, "Update", LATER_MS, "spec.suspend")))
    assert len([each for each in scenario.open() if each.kind == "changed"]) == expected
