"""Drift of the GitOps objects themselves: behind, failing, suspended."""

from typing import Any

import pytest

from abdrift.facts.governance import DriftAllowance, Policy
from abdrift.signals.objects import RemoteDetail, RemoteHead
from streams.drift.activity import PENDING_MS
from tests.streams.drift.scenario import (
    CONFIG_ENTRY,
    GIT,
    REV1,
    REV2,
    T0_MS,
    Scenario,
    applying,
    config,
    edited,
    entry,
    kustomization,
    repository,
    web,
)

AT_ONCE = Policy(allowance=DriftAllowance(behind_after_seconds=0, suspended_after_seconds=0))
SUSPENDED_BY = [entry("kubectl-patch", "Update", T0_MS + 3_000, "spec.suspend")]
HEAD = RemoteHead(sha="2" * 40, author="alice", message="web 2.0.0\n\nWhy.", time_ms=T0_MS)


def heads(sha: str = "2" * 40) -> RemoteDetail:
    return RemoteDetail(
        heads={"refs/heads/main": RemoteHead(sha=sha, author="alice", message="web 2\n\nWhy", time_ms=T0_MS)}
    )


def suspended(document: dict[str, Any]) -> dict[str, Any]:
    made = {**document, "spec": {**document["spec"], "suspend": True}, "metadata": dict(document["metadata"])}
    made["metadata"]["managedFields"] = SUSPENDED_BY
    return made


def test_an_artifact_that_is_not_applied_in_time_is_behind_and_applying_it_closes_that() -> None:
    scenario = Scenario().proven().after(5_000).see(repository(REV2)).tick(299_000)
    assert scenario.findings() == []
    scenario.tick(1_000)
    (found,) = scenario.open()
    assert (found.kind, found.reconcile_corrects, found.applied_revision) == ("behind", "yes", REV1)
    assert (found.owner_artifact_revision, found.desired and found.desired.revision) == (REV2, REV2)
    scenario.heartbeat().reconciled(applied=REV2, total=3)
    assert scenario.closed() == ["behind corrected"]
    assert scenario.verdict().verdict == "in-sync"


def test_a_commit_that_flux_has_not_fetched_is_behind_with_its_author() -> None:
    scenario = Scenario().proven().policy(AT_ONCE).after(5_000).remote(heads())
    (found,) = scenario.open()
    assert (found.kind, found.object.name, found.reconcile_corrects) == ("behind", "app", "no")
    assert found.desired is not None
    assert (found.desired.revision, found.desired.author, found.desired.message) == (REV2, "alice", "web 2")
    assert [each.source for each in found.evidence.sources][-1] == "git/https://git.example/fleet.git"
    scenario.see(repository(REV2))
    assert scenario.open()[0].reconcile_corrects == "yes"
    scenario.reconciled(applied=REV2, total=3)
    assert scenario.open() == []


@pytest.mark.parametrize(
    "detail", [heads("1" * 40), RemoteDetail(error="no route"), RemoteDetail()], ids=["same", "error", "empty"]
)
def test_a_remote_that_is_not_ahead_or_not_known_is_no_drift(detail: RemoteDetail) -> None:
    scenario = Scenario().proven().policy(AT_ONCE).after(5_000).remote(detail)
    assert scenario.findings() == []


def test_a_remote_that_fails_later_keeps_what_was_known() -> None:
    scenario = Scenario().proven().policy(AT_ONCE).remote(heads()).after(1_000).remote(RemoteDetail(error="no route"))
    assert scenario.kinds() == ["behind app"]
    assert not scenario.open()[0].evidence.complete


def test_a_head_known_from_before_the_source_fetched_another_commit_says_nothing() -> None:
    scenario = Scenario().policy(AT_ONCE).remote(heads("1" * 40)).proven().after(5_000)
    scenario.see(repository(REV2, fetched_ms=scenario.now_ms)).reconciled(applied=REV2, total=3)
    scenario.remote(RemoteDetail(error="no route")).tick(600_000)
    assert (scenario.open(), scenario.verdict().applied_revision) == ([], REV2)
    scenario.remote(heads())
    assert scenario.open() == []


@pytest.mark.parametrize("ahead_ms", [0, 3_600_000], ids=["clocks agree", "the cluster's is ahead"])
def test_a_remote_that_was_asked_since_and_went_back_counts(ahead_ms: int) -> None:
    scenario = Scenario().policy(AT_ONCE).remote(heads("1" * 40)).proven().after(5_000)
    fetched = repository(REV2, fetched_ms=scenario.now_ms + ahead_ms)
    scenario.see(fetched).reconciled(applied=REV2, total=3).see(fetched).after(5_000).remote(heads("1" * 40))
    (found,) = scenario.open()
    assert (found.kind, found.desired and found.desired.revision) == ("behind", REV1)


def test_a_remote_known_before_the_source_counts_and_another_remote_does_not() -> None:
    scenario = Scenario().policy(AT_ONCE).remote(heads()).remote(heads(), url="https://other.example").proven()
    assert scenario.kinds() == ["behind app"]
    scenario.see(repository(url="https://third.example"))
    assert scenario.closed() == ["behind corrected"]


@pytest.mark.parametrize(
    ("ref", "full"),
    [
        ({"tag": "v1"}, "refs/tags/v1"),
        ({"name": "refs/pull/1/head"}, "refs/pull/1/head"),
        ({"branch": "dev"}, "refs/heads/dev"),
        ({}, "refs/heads/master"),
        ({"commit": "abc", "branch": "main"}, "abc"),
        ({"semver": ">=1"}, None),
    ],
    ids=["tag", "name", "branch", "nothing", "commit", "range"],
)
def test_the_inventory_names_the_ref_that_a_source_follows(ref: dict[str, str], full: str | None) -> None:
    scenario = Scenario().started(repository(ref=ref), kustomization())
    assert [each.ref for each in scenario.inventories()[-1].git_sources] == ([full] if full else [])


def test_a_failed_health_check_is_failing_but_not_behind() -> None:
    scenario = Scenario().proven().policy(AT_ONCE).see(repository(REV2))
    scenario.reconciled(ready="False", reason="HealthCheckFailed", attempted=REV2, total=3)
    assert scenario.kinds() == ["failing app"]


def test_a_source_may_know_of_a_push_before_the_remote_was_asked_again() -> None:
    scenario = Scenario().proven().policy(AT_ONCE).remote(heads("1" * 40)).see(repository(REV2))
    (found,) = scenario.open()
    assert (found.kind, found.desired and found.desired.revision) == ("behind", REV2)
    scenario.remote(heads())
    assert [each.desired and each.desired.author for each in scenario.open()] == ["alice"]


def test_a_failure_names_the_commit_that_was_tried_and_keeps_its_author_when_the_head_moves_on() -> None:
    failed = kustomization(ready="False", reason="BuildFailed", attempted=REV2)
    scenario = Scenario().proven().see(repository(REV2)).see(failed)
    (found,) = scenario.open()
    assert (found.attempted and found.attempted.revision, found.attempted and found.attempted.author) == (REV2, None)
    assert (found.reason, found.source and found.source.name, found.source_url) == (
        "BuildFailed",
        "fleet",
        "https://git.example/fleet.git",
    )
    for head in ("2" * 40, "3" * 40):
        scenario.remote(heads(head))
        (found,) = (each for each in scenario.open() if each.kind == "failing")
        assert found.attempted is not None
        assert (found.attempted.revision, found.attempted.author) == (REV2, "alice")
    assert found.desired is not None
    assert found.desired.revision.endswith("3" * 40)


def test_an_attempt_that_fails_is_told_at_once_and_stays_told_between_retries() -> None:
    scenario = Scenario().proven().after(5_000)
    failed = kustomization(
        ready="False", reason="ReconciliationFailed", reconciling="ProgressingWithRetry", attempted=REV2
    )
    scenario.see(failed)
    (found,) = scenario.open()
    assert (found.kind, found.reconcile_corrects) == ("failing", "unknown")
    assert "ReconciliationFailed said" in found.message
    scenario.after(60_000).see(applying()).after(100).see(failed)
    assert [each.revision for each in scenario.findings()] == [1]
    scenario.reconciled(total=3)
    assert scenario.closed() == ["failing corrected"]


def test_drift_under_a_failing_owner_may_not_be_corrected() -> None:
    scenario = (
        Scenario().proven().see(kustomization(ready="False", reason="BuildFailed", reconciling="ProgressingWithRetry"))
    )
    scenario.see(
        edited(web(), "/spec/replicas", 9, entry("kubectl", "Update", None, "spec.replicas"), ("spec.replicas",))
    )
    found = {each.kind: each for each in scenario.open()}
    assert found["changed"].reconcile_corrects == "unknown"
    scenario.policy(AT_ONCE).see(repository(REV2))
    found = {each.kind: each for each in scenario.open()}
    assert found["behind"].reconcile_corrects == "unknown"


def test_waiting_for_a_dependency_is_no_failure() -> None:
    scenario = Scenario().proven().see(kustomization(ready="False", reason="DependencyNotReady"))
    assert scenario.findings() == []
    assert "waiting-for-dependency" in scenario.verdict().reasons


def test_a_failure_may_be_allowed_for_a_while() -> None:
    policy = Policy(allowance=DriftAllowance(failing_after_seconds=30))
    scenario = Scenario().proven().policy(policy).see(kustomization(ready="False", reason="BuildFailed"))
    assert scenario.findings() == []
    scenario.tick(30_000)
    assert scenario.kinds() == ["failing app"]


def test_a_stalled_owner_does_not_retry() -> None:
    stalled = kustomization(ready="False", reason="InvalidSpec")
    stalled["status"]["conditions"].append({"type": "Stalled", "status": "True", "reason": "x", "message": "y"})
    scenario = Scenario().proven().see(stalled)
    assert (scenario.open()[0].reconcile_corrects, "is stalled" in scenario.open()[0].message) == ("no", True)


def test_a_source_that_cannot_fetch_is_failing_and_one_paused_is_suspended() -> None:
    failed = repository()
    failed["status"]["conditions"][0].update(status="False", reason="GitOperationFailed")
    scenario = Scenario().proven().see(failed).see(suspended(failed)).tick(3_600_000)
    assert scenario.kinds() == ["failing fleet", "suspended fleet"]
    assert all(each.owner is None for each in scenario.open())
    scenario.see(repository())
    assert scenario.open() == []
    scenario.see(suspended(repository())).policy(AT_ONCE).tick(1_000)
    assert scenario.kinds() == ["suspended fleet"]
    scenario.delete(repository())
    assert scenario.open() == []


def test_a_failing_source_may_be_allowed_for_a_while() -> None:
    failed = repository()
    failed["status"]["conditions"][0].update(status="False", reason="GitOperationFailed")
    policy = Policy(allowance=DriftAllowance(failing_after_seconds=30))
    scenario = Scenario().policy(policy).proven().see(failed)
    assert scenario.findings() == []
    scenario.tick(30_000)
    assert scenario.kinds() == ["failing fleet"]


def test_a_suspended_owner_is_told_when_it_lasts_with_who_did_it() -> None:
    scenario = Scenario().proven().after(5_000).see(suspended(kustomization())).tick(3_599_000)
    assert scenario.findings() == []
    assert scenario.verdict().suspended
    scenario.tick(1_000)
    (found,) = scenario.open()
    assert (found.kind, found.managers, found.reconcile_corrects) == ("suspended", ("kubectl-patch",), "no")
    assert found.times.changed_at is not None
    scenario.see(kustomization())
    assert scenario.closed() == ["suspended corrected"]


def test_drift_under_a_suspended_owner_is_not_corrected_and_what_it_lacks_neither() -> None:
    scenario = Scenario().proven().see(suspended(kustomization(generation=2, observed=1))).policy(AT_ONCE)
    scenario.see(
        edited(web(), "/spec/replicas", 9, entry("kubectl", "Update", None, "spec.replicas"), ("spec.replicas",))
    )
    scenario.see(repository(REV2))
    assert scenario.kinds() == ["behind app", "changed web", "suspended app"]
    assert {each.reconcile_corrects for each in scenario.open()} == {"no"}


def disabled(by: str) -> dict[str, Any]:
    key = "metadata.annotations.kustomize!toolkit!fluxcd!io/reconcile"
    made = edited(web(), "/metadata/annotations/kustomize.toolkit.fluxcd.io~1reconcile", "disabled")
    if by == "kustomize-controller":
        made["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"] = {
            "f:kustomize.toolkit.fluxcd.io/reconcile": {}
        }
    elif by:
        made["metadata"]["managedFields"].append(entry(by, "Update", T0_MS + 9_000, key))
    return made


@pytest.mark.parametrize("by", ["kubectl-annotate", ""], ids=["traced", "untraced"])
def test_a_live_object_taken_out_of_fluxs_hands_is_suspended_and_its_changes_stay(by: str) -> None:
    scenario = Scenario().proven().after(5_000).see(disabled(by))
    assert scenario.findings() == []
    scenario.see(
        edited(disabled(by), "/spec/replicas", 9, entry("kubectl", "Update", None, "spec.replicas"), ("spec.replicas",))
    )
    assert [(each.kind, each.reconcile_corrects) for each in scenario.open()] == [("changed", "no")]
    scenario.policy(AT_ONCE).tick(1_000)
    assert scenario.kinds() == ["changed web", "suspended web"]
    scenario.reconciled(total=3, entries=(CONFIG_ENTRY,))  # Flux inventories what it has not skipped
    assert scenario.kinds() == ["changed web", "suspended web"]
    assert scenario.verdict().objects == 2
    scenario.see(web(applied_ms=T0_MS + 90_000))
    assert scenario.open() == []


def test_an_object_that_git_itself_takes_out_is_meant_so() -> None:
    scenario = (
        Scenario().policy(AT_ONCE).proven(repository(), kustomization(), disabled("kustomize-controller"), config())
    )
    assert [each for each in scenario.findings() if each.kind == "suspended"] == []


def test_a_source_follows_its_owners() -> None:
    moved = kustomization(spec={"sourceRef": {"kind": "GitRepository", "name": "other", "namespace": "flux-system"}})
    scenario = Scenario().proven().see(moved)
    assert not scenario.cells["source/edge-1/source.toolkit.fluxcd.io/GitRepository/flux-system/fleet"].followers
    scenario.delete(moved)
    assert "source/edge-1/source.toolkit.fluxcd.io/GitRepository/flux-system/other" not in scenario.cells
    scenario.delete(repository())
    assert "source/edge-1/source.toolkit.fluxcd.io/GitRepository/flux-system/fleet" not in scenario.cells
    assert GIT


def test_an_owner_that_never_begins_what_it_has_to_do_counts_as_idle_again() -> None:
    scenario = Scenario().proven().after(5_000).see(kustomization(requested="now"))
    assert not scenario.verdict().owner_idle
    scenario.tick(PENDING_MS)
    assert scenario.verdict().owner_idle


def test_each_allowance_runs_by_itself() -> None:
    scenario = Scenario().proven().after(5_000).see(suspended(kustomization()), repository(REV2)).tick(300_000)
    assert scenario.kinds() == ["behind app"]
    scenario.tick(3_300_000)
    assert scenario.kinds() == ["behind app", "suspended app"]


def test_the_end_of_another_policy_is_none_of_this_one() -> None:
    scenario = Scenario().policy(Policy(name="other"))
    scenario.policy(None)
    assert scenario.cells["policy"]
