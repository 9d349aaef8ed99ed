"""What proves a baseline, and what does not."""

import pytest

from streams.drift.baseline import ADOPTING_MS
from streams.drift.order import READ_PATIENCE_MS
from tests.streams.drift.scenario import (
    DEPLOYMENT,
    KUSTOMIZATION,
    RELEASE,
    REV2,
    T0_MS,
    WEB_FIELDS,
    Scenario,
    applying,
    config,
    edited,
    entry,
    fields,
    kustomization,
    repository,
    rfc,
    web,
)

LATER_MS = T0_MS + 60_000
IMAGE = "/spec/template/spec/containers/0/image"
CONTAINER = "spec.template.spec.containers.[name=web]"


def scaled() -> dict:
    return edited(
        web(), "/spec/replicas", 5, entry("kubectl", "Update", None, "spec.replicas", sub="scale"), ("spec.replicas",)
    )


def labelled() -> dict:
    return edited(
        web(), "/metadata/labels/oncall", "alice", entry("kubectl-label", "Update", LATER_MS, "metadata.labels.oncall")
    )


def without_env() -> dict:
    return edited(web(), "/spec/template/spec/containers/0/env", None, None, (f"{CONTAINER}.env",))


@pytest.mark.parametrize(
    ("live", "suspected"),
    [(web(), []), (scaled(), ["changed web"]), (labelled(), ["changed web"]), (without_env(), [])],
    ids=["untouched", "changed before", "added before", "removed before"],
)
def test_first_sight_never_says_in_sync_and_the_next_reconcile_settles_it(live: dict, suspected: list[str]) -> None:
    scenario = Scenario().started(repository(), kustomization(), live, config())
    scenario.tick(60_000)
    assert scenario.kinds() == suspected
    assert all(each.certainty == "suspect" and not each.fields[0].old_known for each in scenario.open())
    assert {each.verdict for each in scenario.verdicts()} == {"unknown"}
    assert "objects-unproven" in scenario.verdict().reasons
    corrected = () if live == web() else (web(applied_ms=scenario.now_ms + 1_000),)
    scenario.reconciled(*corrected)
    assert scenario.kinds() == []
    assert set(scenario.closed()) <= {"changed corrected", "changed superseded"}
    assert scenario.verdict().verdict == "in-sync"


def test_an_operators_field_older_than_the_last_reconcile_is_no_suspect_but_drift_once_settled() -> None:
    old = edited(
        web(), "/spec/minReadySeconds", 7, entry("my-operator", "Update", T0_MS - 9_000, "spec.minReadySeconds")
    )
    scenario = Scenario().started(repository(), kustomization(), old, config())
    assert scenario.kinds() == []
    scenario.reconciled()
    (found,) = scenario.open()
    assert (found.certainty, found.reconcile_corrects, found.fields[0].old_known) == ("proven", "no", False)


def test_at_first_sight_a_scale_may_have_taken_the_field_from_flux() -> None:
    by = entry("some-autoscaler", "Update", None, "spec.replicas", sub="scale")
    live = edited(web(), "/spec/replicas", 5, by, ("spec.replicas",))
    (found,) = Scenario().started(repository(), kustomization(), live, config()).tick(60_000).open()
    assert (found.certainty, found.reconcile_corrects) == ("suspect", "unknown")
    assert "/spec/replicas" in str(found.reconcile_corrects_reason)


def test_a_change_after_first_sight_is_a_suspect_whose_old_value_is_known() -> None:
    scenario = Scenario().started().after(5_000).see(scaled())
    (found,) = scenario.open()
    assert (found.certainty, found.fields[0].old, found.fields[0].old_known) == ("suspect", 2, True)


@pytest.mark.parametrize("unseen", ["restart", "gap"])
def test_a_reconcile_that_nobody_watched_proves_nothing(unseen: str) -> None:
    scenario = Scenario().started()
    scenario.see(kustomization(total=2, reconciled_ms=scenario.now_ms), op="listed").after(1_000).tick()
    assert scenario.verdict().verdict == "unknown"


@pytest.mark.parametrize(
    ("kind", "unproven"), [(KUSTOMIZATION, 2), (DEPLOYMENT, 1), (RELEASE, 0)], ids=["its owner's", "its own", "another"]
)
def test_a_gap_told_afterwards_takes_a_first_proof_back(kind: tuple[str, str, str], unproven: int) -> None:
    scenario = Scenario().proven()
    scenario.synced(kind, gap_ms=T0_MS + 1_100)
    assert scenario.verdict().unproven == unproven
    scenario.reconciled(total=3).synced(kind, gap_ms=scenario.now_ms).tick(1_000)
    assert scenario.verdict().verdict == "in-sync"


def test_another_revision_applied_unseen_takes_the_proof_away() -> None:
    scenario = Scenario().proven()
    moved = [repository(REV2), kustomization(applied=REV2, total=9), web(applied_ms=LATER_MS, image="web:2"), config()]
    scenario.after(60_000).see(*moved, op="listed")
    scenario.synced(gap_ms=scenario.now_ms - 60_000).tick(READ_PATIENCE_MS)
    assert scenario.kinds() == ["changed web"]
    assert scenario.open()[0].certainty == "suspect"
    assert scenario.verdict().verdict == "unknown"
    assert scenario.verdict().evidence.sources[0].gap is not None


def test_a_rollout_from_git_is_no_drift_and_becomes_the_baseline() -> None:
    scenario = Scenario().proven().after(5_000).see(repository(REV2))
    new = web(applied_ms=scenario.now_ms, image="web:2.0.0")
    scenario.reconciled(new, applied=REV2, total=3)
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"
    scenario.after(5_000).see(web(applied_ms=scenario.now_ms, image="web:1.0.0")).tick(READ_PATIENCE_MS)
    assert [(f.old, f.new) for f in scenario.open()[0].fields] == [("web:2.0.0", "web:1.0.0")]


def test_a_rollout_whose_object_comes_before_and_after_its_owners_rows_is_no_drift() -> None:
    scenario = Scenario().proven().after(5_000)
    begun = scenario.row("modified", applying(total=2))
    new = web(applied_ms=scenario.now_ms, image="web:2.0.0")
    early, late = (
        scenario.row("modified", new),
        scenario.row("modified", config(applied_ms=scenario.now_ms, color="red")),
    )
    ended = scenario.row("modified", kustomization(total=3, applied=REV2))
    scenario.feed(early, *scenario.reads()).after(900).feed(begun).after(100).feed(ended).after(2_000).feed(late)
    scenario.tick(1_000)
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"


def test_health_checks_begin_when_all_is_applied() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2))
    scenario.after(100).see(web(applied_ms=scenario.now_ms, image="web:2.0.0"))
    scenario.after(100).see(applying(total=2, healthy="Unknown", applied=REV2)).after(60_000).tick()
    assert scenario.findings() == []
    scenario.see(scaled()).tick(READ_PATIENCE_MS)
    assert scenario.kinds() == ["changed web"]


def test_a_failed_health_check_has_applied_all_the_same() -> None:
    scenario = Scenario().started()
    scenario.reconciled(
        config(applied_ms=scenario.now_ms, color="red"), ready="False", reason="HealthCheckFailed", attempted=REV2
    )
    assert scenario.verdict().proven == 2
    assert scenario.verdict().applied_revision == REV2


def test_a_failed_reconcile_proves_only_what_flux_wrote() -> None:
    scenario = Scenario().started()
    scenario.reconciled(
        config(applied_ms=scenario.now_ms, color="red"), ready="False", reason="ReconciliationFailed", attempted=REV2
    )
    assert (scenario.verdict().proven, scenario.verdict().unproven) == (1, 1)


def test_a_reconcile_of_which_only_the_end_is_seen_proves_what_was_untouched() -> None:
    """It began after the owner's previous row, which came after the objects' only the second time."""
    scenario = Scenario().started().see(kustomization(total=2)).after(1_000).tick()
    assert scenario.verdict().verdict == "unknown"
    scenario.see(kustomization(total=3)).after(1_000).tick()
    assert scenario.verdict().verdict == "in-sync"


def test_an_edit_during_a_reconcile_is_told_at_once_and_stays_when_flux_was_past_it() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).after(50).see(scaled())
    assert scenario.kinds() == ["changed web"]
    scenario.after(50).see(kustomization(total=3)).tick(1_000)
    assert scenario.kinds() == ["changed web"]


def test_a_reconcile_that_changes_nothing_leaves_the_verdict_alone() -> None:
    scenario = Scenario().proven()
    told = len(scenario.verdicts())
    scenario.reconciled(total=3).reconciled(total=4)
    assert {each.verdict for each in scenario.verdicts()[told:]} == {"in-sync"}
    assert {each.owner_idle for each in scenario.verdicts()[told:]} == {True, False}


def test_a_removal_during_a_reconcile_that_has_not_touched_the_object_is_told_at_once() -> None:
    begun = applying(total=2)
    begun["status"]["conditions"][0]["lastTransitionTime"] = rfc(T0_MS + 6_000)
    scenario = Scenario().proven().after(5_000).see(begun).after(50).see(without_env())
    assert scenario.kinds() == ["changed web"]


def test_a_removal_during_a_reconcile_may_be_fluxs_where_times_do_not_tell() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).after(50).see(without_env())
    assert scenario.kinds() == []
    assert scenario.verdict().verdict == "unknown"
    scenario.after(50).see(kustomization(total=3))
    assert scenario.kinds() == ["changed web"]


def test_git_may_take_over_what_drifted() -> None:
    scenario = Scenario().proven().after(5_000).see(scaled())
    scenario.reconciled(web(applied_ms=scenario.now_ms + 1_000, replicas=5), applied=REV2, total=3)
    assert scenario.tick(ADOPTING_MS).closed() == ["changed adopted"]


def test_a_correction_whose_row_comes_after_the_end_of_its_reconcile_is_one() -> None:
    scenario = Scenario().proven().after(5_000).see(scaled())
    begun = scenario.row("modified", applying(total=2))
    corrected = scenario.row("modified", web(applied_ms=scenario.now_ms + 1_000))
    ended = scenario.row("modified", kustomization(total=3))
    scenario.feed(begun, ended).after(1_500).tick().feed(corrected).tick(ADOPTING_MS)
    assert scenario.closed() == ["changed corrected"]
    assert scenario.verdict().verdict == "in-sync"


def test_an_edit_under_fluxs_name_waits_for_the_owners_rows_and_no_longer() -> None:
    scenario = Scenario().proven().after(5_000)
    posed = scenario.row("modified", web(applied_ms=scenario.now_ms, image="web:evil"))
    scenario.feed(posed).tick(1_000)
    assert scenario.kinds() == []
    scenario.feed(*scenario.reads())
    assert scenario.kinds() == ["changed web"]


def test_an_edit_under_fluxs_name_between_two_reconciles_is_told_however_late_its_row_comes() -> None:
    scenario = Scenario().proven().after(5_000)
    posed = scenario.row("modified", web(applied_ms=scenario.now_ms, image="web:evil"))
    scenario.reconciled(total=3).feed(posed)
    assert scenario.kinds() == ["changed web"]


def test_the_end_of_a_reconcile_told_in_two_parts_is_one_end() -> None:
    scenario = Scenario().proven().after(5_000).see(applying(total=2)).after(50).see(scaled()).after(50)
    scenario.see(kustomization(total=2)).see(kustomization(total=3)).tick(ADOPTING_MS + 1_000)
    assert scenario.kinds() == ["changed web"]


def test_a_commit_may_supersede_what_drifted() -> None:
    scenario = Scenario().proven().after(5_000).see(scaled())
    scenario.reconciled(web(applied_ms=scenario.now_ms + 1_000, replicas=3), applied=REV2, total=3)
    assert scenario.closed() == ["changed superseded"]


def test_the_same_drift_is_counted_when_it_comes_back_after_its_correction() -> None:
    scenario = Scenario().proven()
    for _ in range(3):
        scenario.after(5_000).see(scaled())
        scenario.reconciled(web(applied_ms=scenario.now_ms + 1_000), total=scenario.offset)
    assert [each.recurrences for each in scenario.findings()] == [0, 1, 2]
    assert len({each.finding_id for each in scenario.findings()}) == 3


def test_flux_taking_over_kubectls_entry_does_not_change_who_did_it() -> None:
    scenario = Scenario().proven().after(5_000).see(scaled()).see(applying(total=2)).after(50)
    taken = web(applied_ms=scenario.now_ms, replicas=5)
    scenario.see(taken)
    (found,) = scenario.open()
    assert (found.revision, found.managers) == (1, ("kubectl",))


def test_fields_beyond_the_bound_are_counted() -> None:
    data = {f"key{i:03}": "x" for i in range(100)}
    paths = [f"data.{key}" for key in data]
    document = config()
    document["data"] = data
    document["metadata"]["managedFields"] = [entry("kustomize-controller", "Apply", T0_MS, *paths)]
    scenario = Scenario().proven(repository(), kustomization(), web(), document)
    changed = {**document, "data": dict.fromkeys(data, "y"), "metadata": dict(document["metadata"])}
    changed["metadata"]["managedFields"] = [entry("kubectl-edit", "Update", LATER_MS, *paths)]
    scenario.after(5_000).see(changed)
    (found,) = scenario.open()
    assert (len(found.fields), found.fields_omitted) == (64, 36)


def test_a_change_set_back_by_hand_is_no_drift_and_the_next_one_still_is() -> None:
    taken = [entry("kustomize-controller", "Apply", T0_MS, *(p for p in WEB_FIELDS if p != "spec.replicas"))]
    hand = entry("kubectl-patch", "Update", LATER_MS, "spec.replicas")
    back, again = web(), web(replicas=7)
    back["metadata"]["managedFields"] = again["metadata"]["managedFields"] = [*taken, hand]
    scenario = Scenario().proven().after(5_000).see(scaled()).after(1_000).see(back)
    assert scenario.closed() == ["changed corrected"]
    scenario.after(1_000).see(again)
    assert scenario.kinds() == ["changed web"]
    assert scenario.open()[0].fields[0].old == 2


def test_what_flux_skips_is_never_proven_by_its_reconciles() -> None:
    skipped = edited(
        web(replicas=9),
        "/metadata/annotations",
        {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"},
        entry("kubectl-annotate", "Update", T0_MS, "metadata.annotations.kustomize!toolkit!fluxcd!io/reconcile"),
    )
    scenario = Scenario().proven(repository(), kustomization(), skipped, config())
    assert scenario.verdict().unproven == 1


def test_fields_are_spelled_as_managed_fields_are() -> None:
    assert fields("spec.[name=a].b") == {"f:spec": {'k:{"name":"a"}': {".": {}, "f:b": {}}}}
    assert DEPLOYMENT != KUSTOMIZATION
