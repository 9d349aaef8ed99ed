"""Facts in: duplicates, stale ones, ones that move, and ones that are no facts."""

from typing import Any

import pytest

from abdrift.cloudevents import CloudEvent
from streams.governor import intake
from streams.governor.cells import ClusterCell, FindingCell, OwnerCell
from streams.governor.step import MAX_DECIDED
from tests.streams.governor.world import ACT, OWNER, START_MS, World, acting, brief, evidence, stamp


def test_facts_told_twice_change_nothing() -> None:
    world = acting(rule={"mode": "approve"})
    events = [
        world.policy(ACT, revision=1),
        world.inventory(),
        world.silence(code="NotReady"),
        world.verdict(),
        world.finding(),
    ]
    world.tell(*events)
    cells, said = dict(world.cells), len(world.said)
    world.tell(*events)
    assert {k: v for k, v in world.cells.items() if k != "fleet"} == {k: v for k, v in cells.items() if k != "fleet"}
    assert len(world.said) == said


def test_a_closed_finding_is_not_opened_by_a_late_duplicate() -> None:
    world = acting(rule={"grace_seconds": 5})
    opening = world.finding()
    world.tell(opening, world.closing(), opening)
    world.wait(10)
    assert not world.commands


def test_a_finding_may_open_again_at_a_higher_revision() -> None:
    world = acting()
    world.tell(world.closing(), world.finding(revision=3))
    assert len(world.commands) == 1


def test_closed_findings_are_forgotten_in_time() -> None:
    world = acting()
    world.tell(world.closing())
    world.now_ms += intake.CLOSED_KEPT_MS
    world.wait(61)
    assert not [c for c in world.cells.values() if isinstance(c, FindingCell)]


def test_a_finding_may_move_to_another_owner() -> None:
    world = acting(rule={"grace_seconds": 60})
    world.tell(world.finding(), world.finding(revision=2, owner={**OWNER, "name": "infra"}))
    owners = {c.ref.name: c.finding_ids for c in world.cells.values() if isinstance(c, OwnerCell) and c.ref}
    assert owners == {"apps": (), "infra": ("f1",)}


def test_a_verdict_of_a_forgotten_cluster_may_be_buried_after_it() -> None:
    world = acting()
    world.bury("edge-1")
    world.tell(world.verdict())
    world.bury("verdict-edge-1-apps")
    world.bury("verdict-edge-1-apps")
    assert not [c for c in world.cells.values() if isinstance(c, ClusterCell)]


def test_a_verdict_under_a_new_id_outlives_the_old_ones_tombstone() -> None:
    world = acting()
    event = world.verdict()
    world.tell(event.model_copy(update={"data": {**event.data, "verdict_id": "another"}}))
    world.bury("verdict-edge-1-apps")
    world.tell(world.finding())
    assert world.last == "commanded: allowed"


def test_an_older_inventory_does_not_replace_a_newer() -> None:
    world = acting()
    world.wait(5)
    world.tell(world.inventory(labels={"site": "bergen"}))
    world.tell(world.inventory(labels={"site": "oslo"}, last_seen=stamp(START_MS), evidence=evidence(START_MS)))
    (cluster,) = [c for c in world.cells.values() if isinstance(c, ClusterCell)]
    assert cluster.labels == {"site": "bergen"}


def test_labels_that_change_are_matched_afresh() -> None:
    world = acting(rule={"clusters": {"match_labels": {"site": "bergen"}}})
    world.tell(world.finding(), world.inventory(labels={"site": "bergen"}))
    world.wait(1)
    assert [brief(d) for d in world.decisions] == ["observed: no-rule", "commanded: allowed"]


IGNORED_HEALTH: dict[str, dict[str, Any]] = {
    "workload": {"scope": "workload"},
    "fleet": {"cluster": None},
    "unknown-cluster": {"cluster": {"name": "edge-9"}},
}


@pytest.mark.parametrize("change", IGNORED_HEALTH.values(), ids=IGNORED_HEALTH)
def test_other_health_says_nothing_of_a_cluster(change: dict[str, Any]) -> None:
    world = acting()
    event = world.silence()
    world.tell(event.model_copy(update={"data": {**event.data, **change}}), world.finding())
    assert world.last == "commanded: allowed"


def test_a_cluster_that_is_heard_again_is_commanded() -> None:
    world = acting()
    world.tell(world.silence(), world.finding(), world.silence(revision=2, code="NotReady"))
    world.wait(1)
    assert [brief(d) for d in world.decisions] == ["refused: cluster-silent", "commanded: allowed"]


def test_more_findings_of_one_owner_than_are_kept_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_FINDINGS", 2)
    world = acting(rule={"grace_seconds": 5})
    world.tell(*(world.finding(f"f{n}") for n in range(3)))
    world.wait(10)
    assert (world.last, world.commands) == ("refused: too-many-findings", [])
    assert "finding/f2" not in world.cells
    world.tell(*(world.closing(f"f{n}") for n in range(3)))
    world.tell(world.finding("f9"))
    world.wait(10)
    assert len(world.commands) == 1


def test_a_finding_without_room_at_its_new_owner_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    world = acting()
    world.tell(world.finding())
    monkeypatch.setattr(intake, "MAX_FINDINGS", 0)
    world.tell(world.finding(revision=2, owner={**OWNER, "name": "infra"}))
    assert "finding/f1" not in world.cells


def _broken(world: World) -> CloudEvent:
    return world.finding().model_copy(update={"data": {"finding_id": "f1"}})


def _foreign(world: World) -> CloudEvent:
    return world.finding().model_copy(update={"type": "com.example.other"})


REFUSED = {"no-finding": (_broken, "invalid-fact"), "no-use": (_foreign, "unknown-type")}


@pytest.mark.parametrize(("event", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_fact_is_refused_and_its_neighbours_go_on(event: Any, reason: str) -> None:
    world = acting()
    world.feed([world.record(event(world)), world.record(world.finding())])
    assert [r.reason for r in world.refused] == [reason]
    assert len(world.commands) == 1


def test_one_sweep_decides_about_so_many_and_the_next_about_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_DECIDED > 3
    monkeypatch.setattr("streams.governor.step.MAX_DECIDED", 3)
    world = World()
    world.tell(world.policy(breaker={"surge_percent": 100}))
    for number in range(8):
        name = f"edge-{number}"
        world.tell(world.inventory(name, labels={"site": name}), world.verdict(name), world.finding(name, cluster=name))
    world.wait(1)
    world.tell(world.policy(ACT, revision=2, breaker={"surge_percent": 100}))
    world.wait(1)
    assert len(world.commands) == 3
    world.wait(2)
    assert len(world.commands) == 8
