"""What a view or a summary makes of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abdrift.cli.demo_figures import FAULTY, observed_findings, summary, symptom_to_incident_ms
from abdrift.observed import Observed
from abdrift.simulation import Ledger
from abdrift.topics import DECISION, HEALTH, INCIDENT
from tests.sinks.alertmanager.incidents import closed, incident
from tests.streams.governor.world import World

if TYPE_CHECKING:
    from abdrift.cloudevents import CloudEvent
    from abdrift.facts.incidents import Incident


def test_a_finding_counts_from_when_it_could_be_read() -> None:
    world, seen = World(), Observed()
    first = world.finding("f1")
    seen.absorb(first, 1_000)
    seen.absorb(first.model_copy(update={"data": {**first.data, "revision": 2}}), 5_000)
    (found,) = observed_findings(seen)
    assert found["opened_at_ns"] == 1_000 * 1_000_000
    assert (found["cluster"], found["kind"]) == ("edge-1", first.data["kind"])


def told(one: Incident) -> CloudEvent:
    return INCIDENT.event(one.incident_id, one, event_id="e", source="/t", at=one.changed_at)


def test_an_incident_is_known_by_its_newest_revision_and_told_of_when_it_opens_and_closes() -> None:
    seen = Observed()
    first, grown = told(incident()), told(incident(clusters=9, revision=2))
    for at_ms, event in enumerate((first, grown, first, told(closed(revision=3)))):
        seen.absorb(event, 5_000 + at_ms)
    assert seen.told_ms == {"i1": 5_000}
    assert (seen.incidents["i1"]["revision"], seen.incidents["i1"]["state"]) == (3, "closed")
    assert [line.text for line in seen.lines] == [
        "main@bbbbbbb fails in 7 clusters",
        "main@bbbbbbb fails in 7 clusters (recovered)",
    ]


def test_an_incident_is_timed_from_the_first_finding_of_its_members_and_judged() -> None:
    seen = Observed()
    seen.told_ms = {"f-edge-1": 1_000, "f-edge-0": 1_200, "f-elsewhere": 10}
    seen.absorb(told(incident()), 1_700)
    seen.absorb(told(incident(clusters=1, revision=2)), 9_000)
    assert symptom_to_incident_ms(seen) == [700.0], "whatever became of it since"
    figures = summary(seen, Ledger(), {})
    assert figures["incidents"] == ["main@bbbbbbb fails in 1 clusters (open, 1 clusters)"]
    assert (figures["incidents_missed"], figures["incidents_false"]) == (0, 1)
    assert {name for name in FAULTY if figures[name]} == {"incidents_false"}


def test_what_an_earlier_incident_had_for_a_symptom_times_no_later_one() -> None:
    seen = Observed()
    seen.told_ms = {"f-edge-0": 1_000, "f-edge-1": 1_200}
    seen.absorb(told(incident()), 1_700)
    seen.absorb(told(incident("i2")), 41_000)
    assert symptom_to_incident_ms(seen) == [700.0], "those clusters had the bad revision, and are behind its revert"


def test_the_newest_decision_stands_until_what_it_is_about_is_over() -> None:
    world, seen = World(), Observed()
    first = world.finding("f1")
    reasons = [{"code": "held", "message": "by a person"}]
    decision = {"result": "refused", "finding_ids": ["f1"], "reasons": reasons}
    seen.absorb(first, 1_000)
    seen.absorb(world.event(DECISION, "d1", decision, "edge-1"), 2_000)
    assert seen.decided["f1"]["reasons"] == reasons
    over = first.model_copy(update={"data": {**first.data, "revision": 2, "state": "closed"}})
    seen.absorb(over, 3_000)
    seen.absorb(world.event(DECISION, "d1", decision, "edge-1"), 4_000)
    assert seen.decided == {}


def test_workloads_are_counted_over_namespaces_as_they_are_now() -> None:
    world, seen = World(), Observed()
    for name, healthy, failing in (("a", 3, 1), ("b", 2, 0), ("a", 4, 0)):
        about = f"namespace/edge-1/{name}"
        members = {"healthy": healthy, "degraded": 0, "failing": failing, "unknown": 0}
        data = {"scope": "namespace", "resource_id": about, "members": members}
        seen.absorb(world.event(HEALTH, about, data, "edge-1"), 1_000)
    assert seen.workloads == {"healthy": 6, "degraded": 0, "failing": 0, "unknown": 0}
