"""How well a cluster is seen, what that says about it, and what is told of clusters at all."""

import pytest

from abdrift.signals.objects import HeartbeatDetail
from streams.drift.order import READ_PATIENCE_MS
from tests.streams.drift.scenario import (
    CONFIG_MAP,
    DEPLOYMENT,
    T0_MS,
    UID,
    Scenario,
    config,
    edited,
    entry,
    kustomization,
    repository,
    web,
)

DAY_MS = 86_400_000


def labelled(value: str = "alice"):  # noqa: ANN201  a document
    by = entry("kubectl-label", "Update", T0_MS + 60_000, "metadata.labels.oncall")
    return edited(web(), "/metadata/labels/oncall", value, by)


def test_without_a_heartbeat_nothing_is_in_sync() -> None:
    scenario = Scenario().see(repository(), kustomization(), web(), config(), op="listed")
    scenario.synced(began_ms=scenario.now_ms).after(1_000).reconciled()
    assert (scenario.verdict().verdict, scenario.verdict().reasons) == ("unknown", ("no-heartbeat",))
    assert scenario.inventories() == []


def test_silence_beyond_the_promise_is_unknown_until_the_next_heartbeat() -> None:
    scenario = Scenario().proven().heartbeat(interval_ms=10_000).tick(14_000)
    assert scenario.verdict().verdict == "in-sync"
    scenario.heartbeat(interval_ms=10_000).tick(2_000).tick(13_000)
    assert (scenario.verdict().verdict, scenario.verdict().reasons) == ("unknown", ("silent",))
    assert not scenario.inventories()[-1].evidence.complete
    scenario.delete(config()).tick(1_000)
    assert scenario.findings() == []
    scenario.heartbeat(interval_ms=10_000).tick(1_000)
    assert scenario.kinds() == ["deleted app-config"]
    assert scenario.inventories()[-1].evidence.complete


def test_a_new_agent_has_seen_only_what_it_has_listed_itself() -> None:
    scenario = Scenario().proven().heartbeat(started_ms=T0_MS + 500)
    assert scenario.verdict().verdict == "unknown"
    scenario.agent = "agent-2"
    scenario.see(repository(), kustomization(total=2), web(), op="listed")
    scenario.synced(began_ms=T0_MS + 600).tick(READ_PATIENCE_MS)
    assert scenario.kinds() == ["deleted app-config"]


@pytest.mark.parametrize("heartbeat_first", [True, False], ids=["heartbeat-first", "list-first"])
def test_the_time_between_two_agents_shows_as_a_gap(*, heartbeat_first: bool) -> None:
    scenario = Scenario().proven()
    last_ms = scenario.now_ms
    scenario.heartbeat().after(10_000)
    started_ms = scenario.now_ms
    scenario.agent = "agent-2"
    if heartbeat_first:
        scenario.heartbeat(started_ms=started_ms)
    scenario.see(repository(), kustomization(total=2), web(), config(), op="listed")
    scenario.synced(began_ms=started_ms + 100)
    if not heartbeat_first:
        scenario.heartbeat(started_ms=started_ms)
    scenario.see(labelled()).tick(1_000)
    (finding,) = scenario.open()
    assert {(each.gap.reason, each.gap.until is not None) for each in finding.evidence.sources if each.gap} == {
        ("agent-restarted", True)
    }
    assert all(
        last_ms <= int(each.gap.since.timestamp() * 1000) <= started_ms for each in finding.evidence.sources if each.gap
    )


def test_within_its_run_an_agent_need_not_repeat_what_a_new_list_confirms() -> None:
    scenario = Scenario().proven().after(60_000).heartbeat().synced(gap_ms=scenario_now(60_000)).tick(5_000)
    assert scenario.findings() == []
    assert scenario.verdict().verdict == "in-sync"
    gap = scenario.verdict().evidence.sources[0].gap
    assert gap is None or gap.reason == "watch-expired"


def scenario_now(ms: int) -> int:
    return T0_MS + ms


def test_a_watch_cut_in_the_middle_misses_nothing_and_doubles_nothing() -> None:
    scenario = Scenario().proven().after(1_000).see(labelled()).lost(DEPLOYMENT, "unreachable").after(1_000)
    scenario.see(labelled("bob"), op="added").synced(DEPLOYMENT, gap_ms=scenario.now_ms - 900)
    assert [each.revision for each in scenario.findings()] == [2]
    found = scenario.open()[0]
    source = next(each for each in found.evidence.sources if each.what == "apps/Deployment")
    assert scenario.verdict().evidence.complete
    assert source.source == "kubernetes/edge-1"
    gaps = {each.what: each.gap for each in scenario.verdict().evidence.sources}
    assert gaps["apps/Deployment"] is not None
    assert gaps["apps/Deployment"].until is not None


def test_a_closed_finding_is_forgotten_a_day_later() -> None:
    scenario = Scenario().proven().see(labelled()).see(web())
    (found,) = scenario.findings()
    scenario.tick(DAY_MS)
    assert all(fact.event for fact in scenario.facts)
    scenario.tick(3_600_000)
    gone = [fact.key for fact in scenario.facts if fact.event is None]
    assert gone == [found.finding_id]
    assert not [key for key in scenario.cells if key.startswith(("finding/", "tombs/"))]


def test_a_finding_that_opened_again_is_kept_when_the_earlier_one_is_forgotten() -> None:
    scenario = Scenario().proven().see(labelled()).see(web()).see(labelled()).tick(DAY_MS + 3_600_000)
    assert len([fact for fact in scenario.facts if fact.event is None]) == 1
    assert scenario.kinds() == ["changed web"]


def test_facts_of_one_finding_tell_its_times() -> None:
    scenario = Scenario().proven().after(60_000).see(labelled()).after(3_000).see(web())
    (found,) = scenario.findings()
    times = [found.times.changed_at, found.times.observed_at, found.times.opened_at, found.times.closed_at]
    assert [round(each.timestamp() * 1000) - T0_MS for each in times if each] == [60_000, 62_200, 62_200, 65_200]


@pytest.mark.parametrize("on", ["object", "owner"])
def test_a_hold_shows_in_finding_and_verdict_until_it_ends(on: str) -> None:
    until = {"abdrift.dev/hold-until": "2026-11-18T12:00:00Z"}
    scenario = Scenario().proven()
    if on == "owner":
        scenario.see(kustomization(annotations=until, total=2)).see(labelled())
    else:
        held = labelled()
        held["metadata"]["annotations"] = until
        scenario.see(labelled()).see(held)
    assert scenario.open()[0].held_until is not None
    assert scenario.verdict().held_until is not None
    scenario.tick(DAY_MS)
    assert scenario.verdict().held_until is None


def test_the_inventory_is_told_at_first_on_change_and_each_minute() -> None:
    scenario = Scenario().heartbeat(site="a").after(10_000).heartbeat(site="a")
    assert len(scenario.inventories()) == 1
    scenario.after(10_000).heartbeat(site="b")
    assert [each.labels for each in scenario.inventories()] == [{"site": "a"}, {"site": "b"}]
    scenario.after(60_000).heartbeat(site="b")
    assert len(scenario.inventories()) == 3
    assert (scenario.inventories()[-1].cluster.uid, scenario.inventories()[-1].inventoried_objects) == (UID, 0)
    scenario.started()
    assert scenario.inventories()[-1].git_sources[0].ref == "refs/heads/main"
    scenario.delete(repository())
    assert scenario.inventories()[-1].git_sources == ()


def test_the_inventory_counts_what_flux_named() -> None:
    scenario = Scenario().started().after(60_000).heartbeat()
    assert scenario.inventories()[-1].inventoried_objects == 2
    scenario.delete(kustomization()).after(60_000).heartbeat()
    assert scenario.inventories()[-1].inventoried_objects == 0


def bad_rows(scenario: Scenario):  # noqa: ANN201  rows by reason
    good = scenario.row("modified", web())
    from msgspec.structs import replace  # noqa: PLC0415

    broken = kustomization(entries=("nonsense",))
    return [
        ("bad-row", replace(good, object=b"{")),
        ("bad-row", replace(good, object=b"[1]")),
        ("bad-row", replace(good, object=b'{"metadata": {"labels": 3, "managedFields": 7}}')),
        ("bad-row", scenario.row("modified", broken)),
        (
            "bad-row",
            replace(
                scenario.said("heartbeat", HeartbeatDetail(cluster_uid="", interval_ms=1, started_ms=1)), detail=b""
            ),
        ),
        (
            "bad-row",
            replace(scenario.said("synced", HeartbeatDetail(cluster_uid="", interval_ms=1, started_ms=1), CONFIG_MAP)),
        ),
        ("unknown-op", replace(good, op="renamed")),
        ("wrong-cluster", replace(good, cluster="")),
        ("wrong-cluster", replace(good, op="remote")),
    ]


@pytest.mark.parametrize("index", range(9))
def test_a_row_that_cannot_be_read_is_refused_and_its_neighbours_go_on(index: int) -> None:
    scenario = Scenario().proven()
    reason, row = bad_rows(scenario)[index]
    before = dict(scenario.cells)
    scenario.feed(row)
    assert [each.reason for each in scenario.refused] == [reason]
    assert {k: v for k, v in scenario.cells.items() if not k.startswith("partition")} == {
        k: v for k, v in before.items() if not k.startswith("partition")
    }
    scenario.feed(row, scenario.row("modified", labelled()))
    assert scenario.kinds() == ["changed web"]
    assert (scenario.refused[-1].cause.offset, scenario.refused[-1].cause.row) == (scenario.offset - 1, 0)


def test_an_object_that_cannot_be_judged_is_unknown_and_refused() -> None:
    odd = web()
    odd["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {"f:template": {"k:[1]": {"f:x": {}}}}}
    odd["spec"]["template"] = [{"x": 1}]
    scenario = Scenario().started(repository(), kustomization(), odd, config())
    assert {each.reason for each in scenario.refused} == {"unjudgeable"}
    assert "objects-unknown" in scenario.verdict().reasons
    scenario.after(5_000).see(web()).reconciled()
    assert scenario.verdict().proven == 2
