"""The fleet as it stands, folded from facts as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from abdrift.clock import parse_rfc3339_ms
from abdrift.fleetstate import STALE_AFTER_MS, TOPICS, Fleet, wanted
from abdrift.latest import Change
from abdrift.topics import (
    BREAKER,
    COMMAND,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    HEALTH,
    INCIDENT,
    OUTCOME,
    Topic,
)
from tests.contract.examples import full, minimal
from tests.streams.governor.world import START_MS, World, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from abdrift.cloudevents import CloudEvent

OSLO = {"site": "oslo", "region": "north", "environment": "prd"}


def change(topic: Topic, event: CloudEvent, append_ms: int = START_MS) -> Change:
    return Change(topic.name, event.subject, event.encode(), append_ms)


def forgotten(topic: Topic, key: str) -> Change:
    return Change(topic.name, key, None, START_MS)


def health(world: World, name: str = "edge-1", **given: Any) -> CloudEvent:
    silent = world.silence(name).data
    data = {**silent, "status": "healthy", "reasons": [], "score": 100, "last_seen": stamp(START_MS), **given}
    return world.event(HEALTH, f"cluster/{name}", data, name)


def incident(world: World, name: str, **given: Any) -> CloudEvent:
    data: Mapping[str, Any] = full(INCIDENT.model).model_dump(mode="json", exclude_none=True)
    return world.event(INCIDENT, name, {**data, "incident_id": name, "state": "open", **given}, None)


def command(world: World, name: str) -> CloudEvent:
    data: Mapping[str, Any] = minimal(COMMAND.model).model_dump(mode="json")
    now = {"issued_at": stamp(START_MS), "expires_at": stamp(START_MS + 300_000), "cluster": {"name": "edge-1"}}
    return world.event(COMMAND, name, {**data, **now, "command_id": name}, "edge-1")


def outcome(world: World, name: str, result: str) -> CloudEvent:
    told = {"command_id": name, "revision": 1, "cluster": {"name": "edge-1"}, "result": result}
    return world.event(OUTCOME, name, told, "edge-1")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def fleet(world: World) -> Fleet:
    """A fleet of a healthy cluster in Oslo, and a silent one somewhere else."""
    fleet = Fleet()
    fleet.take(change(FLEET_INVENTORY, world.inventory(labels=OSLO)))
    fleet.take(change(FLEET_HEALTH, health(world)))
    fleet.take(change(FLEET_HEALTH, world.silence("edge-2")))
    return fleet


def test_clusters_are_counted_by_health_and_place(fleet: Fleet) -> None:
    assert fleet.counts() == {"": {"healthy": 1, "unknown": 1, "clusters": 2, "drifted": 0, "silent": 1}}
    assert {site: counts["clusters"] for site, counts in fleet.counts("site").items()} == {"": 1, "oslo": 1}


def test_a_cluster_that_nobody_tells_the_health_of_is_unknown_and_never_healthy(fleet: Fleet, world: World) -> None:
    fleet.take(change(FLEET_INVENTORY, world.inventory("edge-3")))
    assert fleet.clusters["edge-3"].status == "unknown"
    assert fleet.take(forgotten(FLEET_HEALTH, "cluster/edge-1")) == {"edge-1"}
    assert (fleet.clusters["edge-1"].status, fleet.clusters["edge-1"].is_complete) == ("unknown", False)


def test_findings_mark_their_cluster_while_they_are_open(fleet: Fleet, world: World) -> None:
    assert fleet.take(change(FLEET_DRIFT, world.finding())) == {"edge-1"}
    assert fleet.clusters["edge-1"].is_drifted
    assert fleet.drift() == {"changed": 1}
    assert fleet.take(change(FLEET_DRIFT, world.finding(revision=2))) == frozenset(), "it looks as before"
    assert fleet.take(change(FLEET_DRIFT, world.closing(revision=3, closed_because="corrected"))) == {"edge-1"}
    assert not fleet.clusters["edge-1"].is_drifted
    assert fleet.findings["f1"].closed_because == "corrected"
    fleet.take(forgotten(FLEET_DRIFT, "f1"))
    assert not fleet.findings


def test_an_alert_alone_is_no_drift(fleet: Fleet, world: World) -> None:
    fleet.take(change(FLEET_DRIFT, world.finding(kind="alert")))
    assert fleet.drift() == {"alert": 1}
    assert not fleet.clusters["edge-1"].is_drifted


def test_what_is_known_of_owners_comes_and_goes(fleet: Fleet, world: World) -> None:
    verdict = world.verdict()
    assert fleet.take(change(FLEET_DRIFT, verdict)) == {"edge-1"}
    (owner,) = fleet.clusters["edge-1"].owners.values()
    assert (owner.name, owner.verdict) == ("Kustomization flux-system/apps", "drifted")
    assert fleet.take(forgotten(FLEET_DRIFT, verdict.subject)) == {"edge-1"}
    assert not fleet.clusters["edge-1"].owners


@pytest.mark.parametrize("lean", [False, True], ids=["all", "lean"])
@pytest.mark.parametrize("order", [1, -1], ids=["as told", "the other way round"])
def test_a_cluster_is_gone_when_its_last_fact_is_in_whatever_order(world: World, order: int, lean: bool) -> None:
    fleet, verdict = Fleet(is_lean=lean), world.verdict()
    fleet.take(change(FLEET_INVENTORY, world.inventory(labels=OSLO)))
    fleet.take(change(FLEET_HEALTH, health(world)))
    fleet.take(change(FLEET_DRIFT, world.finding()))
    fleet.take(change(FLEET_DRIFT, verdict))
    ends = [
        forgotten(FLEET_INVENTORY, "edge-1"),
        forgotten(FLEET_HEALTH, "cluster/edge-1"),
        change(FLEET_DRIFT, world.closing(closed_because="cluster-gone")),
        forgotten(FLEET_DRIFT, verdict.subject),
    ]
    for end in ends[::order]:
        assert fleet.clusters["edge-1"].status in ("healthy", "unknown")
        assert fleet.take(end) == {"edge-1"}
    assert not fleet.clusters
    fleet.take(change(FLEET_DRIFT, world.closing(revision=3)))
    assert not fleet.clusters, "what is told of a past finding brings no cluster back"
    assert len(fleet.findings) == (not lean)


def test_a_lean_fleet_keeps_nothing_that_has_ended(world: World) -> None:
    fleet = Fleet(is_lean=True)
    fleet.take(change(FLEET_DRIFT, world.finding()))
    assert fleet.findings["f1"].message == ""
    fleet.take(change(FLEET_INCIDENTS, incident(world, "i1")))
    assert "members" not in fleet.incidents["i1"]
    fleet.take(change(FLEET_INCIDENTS, incident(world, "i1", state="closed")))
    for name in ("first", "last"):
        events = [(FLEET_COMMANDS, command(world, name)), (FLEET_OUTCOMES, outcome(world, name, "corrected"))]
        for topic, event in events if name == "first" else reversed(events):
            fleet.take(change(topic, event))
    fleet.take(change(FLEET_DRIFT, world.closing()))
    assert not any((fleet.findings, fleet.incidents, fleet.commands, fleet.outcomes))


def test_commands_and_outcomes_without_each_other_are_forgotten_in_time(world: World) -> None:
    fleet = Fleet(is_lean=True)
    fleet.take(change(FLEET_COMMANDS, command(world, "unanswered")))
    fleet.take(change(FLEET_OUTCOMES, outcome(world, "of another day", "failed")))
    fleet.forget_commands(START_MS)
    assert (set(fleet.commands), set(fleet.outcomes)) == ({"unanswered"}, {"of another day"})
    fleet.forget_commands(START_MS + 300_001)
    assert not any((fleet.commands, fleet.outcomes))


def test_commands_are_in_flight_until_they_end_or_expire(fleet: Fleet, world: World) -> None:
    for name in ("done", "accepted", "sent"):
        fleet.take(change(FLEET_COMMANDS, command(world, name)))
    for name, result in (("done", "corrected"), ("accepted", "accepted")):
        fleet.take(change(FLEET_OUTCOMES, outcome(world, name, result)))
    assert {each.command_id for each in fleet.in_flight(START_MS + 1)} == {"accepted", "sent"}
    assert {each.command_id for each in fleet.in_flight(START_MS + 300_000)} == {"accepted"}, "its sink had begun"
    assert fleet.results(START_MS) == {"corrected": 1}
    assert fleet.results(START_MS + 1) == {}, "that was before"


def test_the_breaker_is_told_with_who_froze_the_fleet(fleet: Fleet, world: World) -> None:
    told = {
        "revision": 2,
        "open": True,
        "frozen_by": "kari",
        "since": stamp(START_MS),
        "reasons": [{"code": "frozen", "message": "kari: drill"}],
    }
    fleet.take(change(FLEET_DECISIONS, world.event(BREAKER, "governor", told, None)))
    assert fleet.breaker is not None
    assert (fleet.breaker.is_open, fleet.breaker.frozen_by, fleet.breaker.reasons) == (True, "kari", ("kari: drill",))


def test_open_incidents_are_told_largest_first_and_found_by_their_members(fleet: Fleet, world: World) -> None:
    radius = {"clusters": 2, "clusters_ever": 2, "objects": 2}
    for name, given in {
        "small": {"blast_radius": {**radius, "clusters": 1}},
        "large": {"blast_radius": {**radius, "clusters": 80}},
        "over": {"state": "closed", "members": []},
    }.items():
        fleet.take(change(FLEET_INCIDENTS, incident(world, name, **given)))
    assert [each["incident_id"] for each in fleet.open_incidents()] == ["large", "small"]
    found = fleet.incident_of("text")
    assert found is not None
    assert found["incident_id"] in ("small", "large")
    assert fleet.incident_of("other") is None
    fleet.take(forgotten(FLEET_INCIDENTS, "large"))
    assert [each["incident_id"] for each in fleet.open_incidents()] == ["small"]


def test_a_fleet_that_nobody_tells_of_any_more_is_stale(fleet: Fleet) -> None:
    assert not fleet.is_stale(START_MS + STALE_AFTER_MS)
    assert fleet.is_stale(START_MS + STALE_AFTER_MS + 1)


@pytest.mark.parametrize("value", [b"no JSON", b"[]", b'{"data": {}}', b'{"data": {"scope": "cluster"}}', b"{}"])
def test_what_is_no_fact_is_counted_and_changes_nothing(fleet: Fleet, value: bytes) -> None:
    before = fleet.counts()
    for topic in TOPICS:
        fleet.take(Change(topic.name, "edge-1", value, START_MS))
    assert fleet.unreadable == len(TOPICS)
    assert fleet.counts() == before


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_fact_of_the_contract_is_taken_in(fleet: Fleet, topic: Topic) -> None:
    for fact in topic.facts:
        for example in (minimal(fact.model), full(fact.model)):
            event = World().event(fact, "subject", example.model_dump(mode="json", exclude_none=True), "edge-1")
            fleet.take(change(topic, event))
    assert fleet.unreadable == 0


def test_of_health_only_the_clusters_is_wanted() -> None:
    assert wanted(FLEET_HEALTH.name, "cluster/edge-1")
    assert not wanted(FLEET_HEALTH.name, "workload/edge-1/apps/Deployment/web/app")
    assert wanted(FLEET_DRIFT.name, "any")


def test_times_are_milliseconds(fleet: Fleet) -> None:
    assert fleet.clusters["edge-1"].last_seen_ms == parse_rfc3339_ms(stamp(START_MS)) == START_MS
