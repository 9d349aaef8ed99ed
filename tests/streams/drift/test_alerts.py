"""Alerts as findings: what they are about, how they come and go, and what they are not."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from abdrift.facts.drift import Finding, FindingState, Verdict
from abdrift.facts.governance import AlertLabels, AlertMapping, Alerts, LabelSelector, Policy
from abdrift.signals.alerts import AlertRow
from streams.drift import alerts
from tests.streams.drift.scenario import CLUSTER, T0_MS, Scenario, edited, entry, kustomization, web

WEB = {"alertname": "WebDown", "severity": "page", "namespace": "demo", "deployment": "web"}
ALL = Policy(alerts=Alerts(mappings=(AlertMapping(name="all"),)))


def alert(fingerprint: str = "f1", **changes: Any) -> AlertRow:
    """WebDown, which fires since T0."""
    labels = changes.pop("labels", WEB)
    given = {
        "cluster": CLUSTER,
        "sender": "alertmanager",
        "name": labels.get("alertname", ""),
        "status": "firing",
        "severity": labels.get("severity", ""),
        "fingerprint": fingerprint,
        "starts_ms": T0_MS,
        "ends_ms": 0,
        "observed_ms": T0_MS,
        "labels": orjson.dumps(labels).decode(),
        "annotations": "{}",
        "message": "web has no replica",
    }
    return AlertRow(**{**given, **changes})


def resolved(fingerprint: str = "f1", ends_ms: int = T0_MS + 60_000, **changes: Any) -> AlertRow:
    return alert(fingerprint, status="resolved", ends_ms=ends_ms, **changes)


def mapped(policy: Policy = ALL) -> Scenario:
    """A cluster whose objects are proven, under a policy that maps alerts."""
    return Scenario().policy(policy).proven().after(1_000)


def only(scenario: Scenario) -> Finding:
    (finding,) = [each for each in scenario.findings() if each.kind == "alert"]
    return finding


def test_an_alert_opens_a_finding_that_names_it_and_closes_when_it_is_resolved() -> None:
    scenario = mapped().alerted(alert())
    found = only(scenario)
    assert (found.state, found.kind, found.object.kind, found.object.name) == ("open", "alert", "Deployment", "web")
    assert found.owner is not None
    assert (found.owner.kind, found.owner.name) == ("Kustomization", "app")
    assert found.message == "WebDown fires for Deployment demo/web: web has no replica"
    assert ("alertmanager", "WebDown") in [(each.source, each.what) for each in found.evidence.sources]
    assert found.evidence.complete
    assert (found.reconcile_corrects, found.applied_revision is not None) == ("unknown", True)
    assert scenario.after(1_000).alerted(resolved()).closed() == ["alert resolved"]


def test_an_alert_is_no_drift() -> None:
    scenario = mapped()
    assert scenario.verdict().verdict is Verdict.IN_SYNC
    scenario.alerted(alert()).tick()
    assert (scenario.verdict().verdict, scenario.verdict().open_findings) == (Verdict.IN_SYNC, 1)


def test_told_again_it_is_no_news() -> None:
    scenario = mapped().alerted(alert())
    told = len(scenario.facts)
    scenario.after(60_000).alerted(alert(observed_ms=T0_MS + 60_000))
    assert len(scenario.facts) == told


def test_several_alerts_about_one_object_are_one_finding() -> None:
    slow = {**WEB, "alertname": "WebSlow"}
    scenario = mapped().alerted(alert(), alert("f2", labels=slow, starts_ms=T0_MS + 5))
    assert only(scenario).message == "WebDown fires for Deployment demo/web (and WebSlow): web has no replica"
    scenario.alerted(resolved())
    assert (only(scenario).state, only(scenario).message.split(" ")[0]) == ("open", "WebSlow")
    assert scenario.alerted(resolved("f2")).closed() == ["alert resolved"]


GENERIC = {"alertname": "A", "namespace": "flux-system", "kind": "Kustomization", "name": "app"}


@pytest.mark.parametrize(
    ("labels", "about"),
    [
        pytest.param(WEB, "Deployment demo/web", id="a-workload"),
        pytest.param({**WEB, "deployment": "nobody"}, "Deployment demo/nobody", id="one-that-is-not-known"),
        pytest.param({"namespace": "demo", "statefulset": "db"}, "StatefulSet demo/db", id="another-kind"),
        pytest.param({"namespace": "demo", "job_name": "once"}, "Job demo/once", id="a-job"),
        pytest.param(GENERIC, "Kustomization flux-system/app", id="kind-and-name"),
        pytest.param({"namespace": "flux-system", "kustomization": "app"}, "Kustomization flux-system/app", id="owner"),
        pytest.param({"namespace": "demo", "pod": "web-5d9b7c4f6-x2bcd"}, "Deployment demo/web", id="a-pod"),
        pytest.param({"namespace": "demo", "pod": "other-5d9b7c4f6-x2bcd"}, None, id="a-pod-of-what-is-not-known"),
        pytest.param({"deployment": "web"}, None, id="no-namespace"),
        pytest.param({"namespace": "demo", "node": "n1"}, None, id="no-object"),
        pytest.param({"namespace": "demo", "kind": "Node", "name": "n1"}, None, id="a-kind-that-none-applies"),
    ],
)
def test_what_an_alert_is_about(labels: dict[str, str], about: str | None) -> None:
    scenario = mapped().alerted(alert(labels=labels))
    found = [f"{each.object.kind} {each.object.namespace}/{each.object.name}" for each in scenario.open()]
    assert found == ([about] if about else [])
    assert scenario.passed_over["alert-not-mapped"] == (0 if about else 1)


PAGES = AlertMapping(name="pages", alerts=LabelSelector(match_labels={"severity": "page"}))
OWN_WORDS = AlertMapping(name="own", labels=AlertLabels(namespace="ns", deployment="app"))
OWN_ALERT = {"ns": "demo", "app": "web"}


@pytest.mark.parametrize(
    ("mappings", "row", "count"),
    [
        pytest.param((), alert(), 0, id="none"),
        pytest.param((PAGES,), alert(), 1, id="matches"),
        pytest.param((PAGES,), alert(labels={**WEB, "severity": "info"}), 0, id="another-severity"),
        pytest.param((OWN_WORDS,), alert(labels=OWN_ALERT), 1, id="labels-of-their-own"),
        pytest.param((OWN_WORDS, PAGES), alert(), 0, id="the-first-that-matches-decides"),
        pytest.param((PAGES,), alert(sender="flux"), 0, id="another-sender"),
        pytest.param((AlertMapping(name="f", senders=("flux",)),), alert(sender="flux"), 1, id="flux-where-named"),
    ],
)
def test_the_policy_says_which_alerts_count(mappings: tuple[AlertMapping, ...], row: AlertRow, count: int) -> None:
    scenario = mapped(Policy(alerts=Alerts(mappings=mappings))).alerted(row)
    assert len(scenario.open()) == count


def hand_edit(at_ms: int) -> dict[str, Any]:
    return edited(web(), "/spec/replicas", 0, entry("kubectl", "Update", at_ms, "spec.replicas"), ("spec.replicas",))


def test_of_an_object_that_was_edited_a_reconcile_is_known_to_undo_the_edit() -> None:
    scenario = mapped()
    scenario.see(hand_edit(scenario.now_ms)).after(1_000).tick()
    scenario.alerted(alert())
    assert scenario.kinds() == ["alert web", "changed web"]
    assert (only(scenario).reconcile_corrects, only(scenario).reconcile_corrects_reason) == ("yes", "it is changed too")


def test_an_edit_that_comes_after_the_alert_is_noted_with_it_and_so_is_its_end() -> None:
    scenario = mapped().alerted(alert())
    scenario.see(hand_edit(scenario.now_ms)).after(1_000).tick()
    assert only(scenario).reconcile_corrects == "yes"
    scenario.reconciled(web(applied_ms=scenario.now_ms), total=3)
    assert (scenario.kinds(), only(scenario).reconcile_corrects) == (["alert web"], "unknown")


def test_a_suspended_owner_would_not_help() -> None:
    suspended = kustomization(spec={"suspend": True}, generation=2)
    scenario = mapped().see(suspended).alerted(alert())
    assert only(scenario).reconcile_corrects == "no"


def test_a_hold_on_the_object_holds_its_alert() -> None:
    until = "2099-01-01T00:00:00Z"
    held = edited(web(), "/metadata/annotations", {"abdrift.dev/hold-until": until})
    scenario = mapped().see(held).alerted(alert())
    assert only(scenario).held_until is not None


def test_an_object_that_is_known_later_gets_its_owner_then() -> None:
    scenario = Scenario().policy(ALL).heartbeat().alerted(alert())
    assert only(scenario).owner is None
    scenario.proven()
    assert only(scenario).owner is not None


def test_an_alert_that_was_resolved_does_not_come_back_by_a_late_notification() -> None:
    scenario = mapped().alerted(alert(), resolved()).alerted(alert())
    assert (scenario.open(), scenario.passed_over["alert-resolved-since"]) == ([], 1)
    assert len(scenario.alerted(alert(starts_ms=T0_MS + 90_000)).open()) == 1


def test_an_alert_not_told_again_is_over_in_the_end() -> None:
    policy = ALL.model_copy(update={"alerts": ALL.alerts.model_copy(update={"stale_after_seconds": 600})})
    scenario = mapped(policy).alerted(alert()).after(500_000).alerted(alert())
    assert scenario.tick(500_000).closed() == []
    assert scenario.tick(200_000).closed() == ["alert stale"]


def test_a_new_policy_maps_anew_what_fires() -> None:
    scenario = mapped().alerted(alert())
    scenario.policy(ALL.model_copy(update={"alerts": Alerts(), "revision": 2})).tick(1_000)
    assert scenario.closed() == ["alert superseded"]
    assert not [key for key in scenario.cells if key.startswith("alerts/")]


def test_an_alert_of_a_cluster_that_nobody_watches_is_not_kept() -> None:
    scenario = mapped().alerted(alert(cluster="edge-9"))
    assert (scenario.open(), scenario.passed_over["alert-of-unknown-cluster"]) == ([], 1)
    assert not [key for key in scenario.cells if "edge-9" in key]


def test_of_one_object_so_many_are_kept_and_the_others_counted() -> None:
    rows = [alert(f"f{number}") for number in range(alerts.MAX_OF_OBJECT + 3)]
    assert mapped().alerted(*rows).passed_over["too-many-alerts"] == 3


@pytest.mark.parametrize("labels", ["[]", "{", '{"x": "' + "y" * 9_000 + '"}'], ids=["list", "half", "large"])
def test_a_row_that_cannot_be_read_is_refused_and_its_neighbours_go_on(labels: str) -> None:
    scenario = mapped().alerted(msgspec.structs.replace(alert("bad"), labels=labels), alert())
    assert [each.reason for each in scenario.refused] == ["bad-row"]
    assert scenario.kinds() == ["alert web"]


def test_however_batches_are_cut_the_same_is_said() -> None:
    scenario = mapped()
    scenario.alerted(alert(), resolved(), alert("f2", labels={**WEB, "deployment": "api"}))
    whole = mapped().alerted(alert()).alerted(resolved()).alerted(alert("f2", labels={**WEB, "deployment": "api"}))
    said = [(each.object.name, each.state, each.revision) for each in scenario.findings()]
    assert said == [(each.object.name, each.state, each.revision) for each in whole.findings()]
    assert said == [("web", FindingState.CLOSED, 2), ("api", FindingState.OPEN, 1)]
