"""Clusters that went away: when they are forgotten, what is told then, and that nothing of them is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.facts.drift import Finding, FindingState
from abdrift.signals.objects import InventoryDetail
from abdrift.topics import FLEET_DRIFT, FLEET_INVENTORY
from streams import forgetting
from streams.drift.cells import AnyCell, cluster_of
from streams.drift.step import DriftStep
from streams.step import Batch, Input, Outgoing
from tests.streams.drift.scenario import CLUSTER, Scenario, config, repository, trusting, web
from tests.streams.drift.test_alerts import ALL, alert
from tests.streams.drift.test_batches import SCALED, STORIES

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND_MS, MINUTE_MS, DAY_MS = 1_000, 60_000, 86_400_000
SILENT_MS = 90_000
"""After the last heartbeat of an agent that promises one a minute."""


def named(scenario: Scenario) -> Scenario:
    return scenario.feed(scenario.said("inventory", InventoryDetail(labels={"site": "ber-1"})))


def withdrawn(scenario: Scenario) -> Scenario:
    return scenario.feed(scenario.said("inventory", InventoryDetail(withdrawn=True, reason="sold")))


def fallen_silent(scenario: Scenario) -> Scenario:
    return scenario.tick(SILENT_MS)


def is_known(scenario: Scenario) -> bool:
    return f"cluster/{CLUSTER}" in scenario.cells


def gone(scenario: Scenario) -> Scenario:
    """A cluster that has just been forgotten; what it left behind is gone a day later."""
    return withdrawn(fallen_silent(scenario)).tick(forgetting.WITHDRAWN_MS)


LIMITS: dict[str, tuple[Callable[[Scenario], Scenario], int | None]] = {
    "withdrawn-while-silent": (lambda s: withdrawn(fallen_silent(s.heartbeat())), forgetting.WITHDRAWN_MS),
    "withdrawn-while-heard": (lambda s: fallen_silent(withdrawn(s.heartbeat())), forgetting.WITHDRAWN_MS),
    "withdrawn-and-never-heard": (lambda s: withdrawn(named(s)), forgetting.WITHDRAWN_MS),
    "withdrawn-and-never-known": (withdrawn, forgetting.WITHDRAWN_MS),
    "withdrawn-long-after-it-fell-silent": (
        lambda s: withdrawn(named(fallen_silent(s.heartbeat())).tick(30 * DAY_MS)),
        forgetting.WITHDRAWN_MS,
    ),
    "never-declared": (lambda s: fallen_silent(s.heartbeat()), forgetting.UNDECLARED_MS),
    "never-declared-nor-heard": (lambda s: s.see(web(), op="listed"), forgetting.UNDECLARED_MS),
    "never-declared-heard-in-between": (
        lambda s: fallen_silent(fallen_silent(s.heartbeat()).tick(5 * DAY_MS).heartbeat()),
        forgetting.UNDECLARED_MS,
    ),
    "after-an-outage-of-all": (lambda s: s.heartbeat().tick(30 * DAY_MS), forgetting.UNDECLARED_MS),
    "declared": (lambda s: fallen_silent(named(s.heartbeat())), None),
    "declared-and-never-heard": (named, None),
    "withdrawn-and-declared-anew": (lambda s: named(withdrawn(fallen_silent(s.heartbeat()))), None),
    "declared-after-it-fell-silent": (lambda s: named(fallen_silent(s.heartbeat()).tick(DAY_MS)), None),
}


@pytest.mark.parametrize(("story", "limit_ms"), LIMITS.values(), ids=LIMITS)
def test_when_a_cluster_is_forgotten(story: Callable[[Scenario], Scenario], limit_ms: int | None) -> None:
    scenario = story(Scenario())
    scenario.tick((limit_ms or 400 * DAY_MS) - 1)
    assert is_known(scenario)
    scenario.tick(1)
    assert is_known(scenario) == (limit_ms is None)
    if limit_ms is not None:
        assert set(scenario.cells) == {"partition"}
        assert not scenario.cells["partition"].due_ms


@pytest.mark.parametrize("withdraw", [withdrawn, lambda s: s], ids=["withdrawn", "never-declared"])
def test_a_cluster_that_is_heard_of_is_never_forgotten(withdraw: Callable[[Scenario], Scenario]) -> None:
    scenario = withdraw(Scenario().proven())
    for _ in range(20):
        scenario.tick(DAY_MS // 2).heartbeat()
    assert is_known(scenario)
    assert scenario.verdict().objects == 2


def tombstones(facts: list[Outgoing]) -> list[tuple[str, str]]:
    return [(fact.topic.name, fact.key) for fact in facts if fact.event is None]


def test_what_was_told_is_taken_back_and_a_findings_tombstone_comes_a_day_later() -> None:
    scenario = Scenario().proven().see(SCALED)
    (finding,) = scenario.open()
    verdict = scenario.verdict().verdict_id
    gone(scenario)
    assert scenario.closed() == ["changed cluster-gone"]
    assert tombstones(scenario.last) == [(FLEET_DRIFT.name, verdict), (FLEET_INVENTORY.name, CLUSTER)]
    assert {cluster_of(key) for key in scenario.cells} == {"", CLUSTER}
    assert {key.partition("/")[0] for key in scenario.cells} == {"partition", "timers", "tombs"}
    scenario.tick(DAY_MS + 60 * MINUTE_MS)
    assert tombstones(scenario.last) == [(FLEET_DRIFT.name, finding.finding_id)]
    assert CLUSTER not in repr(scenario.cells)


def test_the_inventory_tells_that_a_cluster_was_withdrawn_and_why() -> None:
    scenario = withdrawn(named(Scenario().heartbeat()))
    assert (scenario.inventories()[-1].declared, scenario.inventories()[-1].withdrawn) == (False, "sold")
    assert named(scenario).inventories()[-1].withdrawn is None


@pytest.mark.parametrize("later_ms", [SECOND_MS, 2 * DAY_MS], ids=["before-its-tombstones", "after-its-tombstones"])
def test_a_cluster_that_speaks_again_starts_afresh(later_ms: int) -> None:
    scenario = gone(Scenario().proven().see(SCALED)).tick(later_ms)
    before = scenario.findings()
    scenario.proven().see(SCALED)
    assert [f.finding_id for f in scenario.open()] != [f.finding_id for f in before]
    assert (scenario.open()[0].revision, scenario.open()[0].recurrences) == (1, 0)
    told = len(scenario.facts)
    scenario.tick(2 * DAY_MS)
    assert len(scenario.open()) == 1
    assert all(key == before[0].finding_id for _, key in tombstones(scenario.facts[told:]))


def test_alerts_and_what_they_are_about_go_too() -> None:
    scenario = withdrawn(fallen_silent(Scenario().policy(ALL).proven())).after(forgetting.WITHDRAWN_MS - SECOND_MS)
    assert scenario.alerted(alert()).kinds() == ["alert web"]
    assert scenario.tick(SECOND_MS).closed() == ["alert cluster-gone"]
    assert set(scenario.tick(2 * DAY_MS).cells) == {"partition", "policy"}


def test_a_remote_that_nobody_told_of_goes_with_its_last_follower() -> None:
    scenario = Scenario().started(repository())
    assert "remote/https://git.example/fleet.git" in scenario.cells
    assert set(gone(scenario).cells) == {"partition"}


def test_a_policy_that_comes_meanwhile_brings_nothing_back() -> None:
    scenario = gone(Scenario().proven().see(SCALED)).policy(ALL).policy(None).tick(2 * DAY_MS)
    assert CLUSTER not in repr(scenario.cells)


def test_many_that_are_due_at_once_go_one_slice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "SLICE_CELLS", 1)
    scenario = Scenario()
    names = [f"edge-{number}" for number in range(4)]
    for scenario.cluster in names:
        scenario.heartbeat()
    scenario.tick(SILENT_MS)
    for scenario.cluster in names:
        withdrawn(scenario)
    left = []
    scenario.tick(forgetting.WITHDRAWN_MS)
    for _ in range(5):
        left.append([key.removeprefix("cluster/") for key in scenario.cells if key.startswith("cluster/")])
        scenario.tick(SECOND_MS)
    assert left == [names[1:], names[2:], names[3:], [], []]


KEYS = [
    ("partition", ""),
    ("policy", ""),
    ("remote/https://git.example/fleet.git", ""),
    ("cluster/a", "a"),
    ("cluster/arn:aws:eks:eu-west-1:1:cluster/a", "arn:aws:eks:eu-west-1:1:cluster/a"),
    ("tombs/a/b/490000", "a/b"),
    ("kind/a//ConfigMap", "a"),
    ("kind/a/b/apps/Deployment", "a/b"),
    ("object/a//ConfigMap/demo/x", "a"),
    ("object/a/b/apps/Deployment/demo/web", "a/b"),
    ("finding/changed/a/b/apps/Deployment/demo/web", "a/b"),
]


@pytest.mark.parametrize(("key", "cluster"), KEYS, ids=[key for key, _ in KEYS])
def test_whose_a_cell_is_stands_in_its_key(key: str, cluster: str) -> None:
    assert cluster_of(key) == cluster


OTHER = "edge-2"
LOCAL = sorted(set(STORIES) - {"head", "declare", "retract", "wait long", "name", "withdraw"})
"""What happens to one cluster alone, in no more than minutes."""
MOMENTS = st.lists(st.tuples(st.sampled_from(LOCAL), st.sampled_from([0, 1_000, 70_000])), max_size=8)


def lived(cluster: str, moments: list[tuple[str, int]]) -> Scenario:
    scenario = Scenario(cluster).policy(ALL).proven()
    for name, pause_ms in moments:
        STORIES[name](scenario.after(pause_ms))
    return scenario


def left(scenario: Scenario) -> list[Input]:
    """The inputs of a cluster that goes away in the end."""
    withdrawn(fallen_silent(scenario)).after(forgetting.WITHDRAWN_MS - SECOND_MS).alerted(alert())
    return scenario.tick(SECOND_MS).tick(DAY_MS).tick(2 * 60 * MINUTE_MS).inputs


def run(inputs: list[Input]) -> tuple[dict[str, AnyCell], list[Outgoing]]:
    cells: dict[str, Any] = {}
    facts: list[Outgoing] = []
    for record in inputs:
        result = DriftStep(trusting).process(cells, Batch(0, 1, [record]))
        cells = {key: cell for key, cell in {**cells, **result.cells}.items() if cell is not None}
        facts += result.facts
    return cells, facts


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MOMENTS, MOMENTS)
def test_a_fleet_that_forgot_a_cluster_is_as_one_that_never_had_it(
    moments: list[tuple[str, int]], others: list[tuple[str, int]]
) -> None:
    ours, theirs = left(lived(CLUSTER, moments)), lived(OTHER, others).inputs
    both = sorted([*ours, *theirs], key=lambda record: record.append_ms)
    numbered = [replace(record, offset=number) for number, record in enumerate(both)]
    is_ours = {id(record) for record in ours if record.frame is not None}
    alone = [
        replace(record, frame=None) if id(was) in is_ours else record
        for was, record in zip(both, numbered, strict=True)
    ]
    cells, facts = run(numbered)
    expected_cells, expected_facts = run(alone)
    assert cells == expected_cells
    assert CLUSTER not in repr(cells)
    # Their ids tell of the row that was read when they were told, which a tick has not.
    assert said([fact for fact in facts if fact.scope != CLUSTER]) == said(expected_facts)
    assert not still_told(facts)


def said(facts: list[Outgoing]) -> list[tuple[str, str, Any]]:
    return [(fact.topic.name, fact.key, fact.event and fact.event.data) for fact in facts]


def still_told(facts: list[Outgoing]) -> set[str]:
    """Keys that compacted topics still hold of the cluster."""
    newest = {(fact.topic.name, fact.key): fact for fact in facts if fact.scope == CLUSTER}
    return {key for (_, key), fact in newest.items() if fact.event is not None}


def test_findings_are_closed_before_their_tombstones() -> None:
    scenario = gone(Scenario().proven().see(SCALED, config(color="red"))).tick(2 * DAY_MS)
    told: dict[str, list[str]] = {}
    for fact in scenario.facts:
        if fact.topic is FLEET_DRIFT and fact.event is None:
            told.setdefault(fact.key, []).append("tombstone")
        elif fact.event is not None and "finding_id" in fact.event.data:
            told.setdefault(fact.key, []).append(Finding.model_validate(fact.event.data).state)
    ended = [states[-2:] for states in told.values() if FindingState.OPEN in states]
    assert ended == [[FindingState.CLOSED, "tombstone"]] * 2
