"""Incidents from what the drift step really says, brought over by the reduce step."""

from __future__ import annotations

from typing import Any

from abdrift.signals.objects import RemoteDetail, RemoteHead
from streams.incidents import IncidentsStep
from streams.reduce import ReduceStep
from streams.step import Batch, Input
from tests.streams.drift.scenario import REV2, T0_MS, Scenario, kustomization, repository
from tests.streams.incidents.world import World, trusted

CLUSTERS, BAD = 200, 80


def story(number: int) -> list[tuple[int, Any]]:
    """What the drift step says of one cluster, and when; the first 80 fetch a bad revision before its author is known.

    The clusters of a fleet fetch one after another.
    """
    told = RemoteHead(sha="2" * 40, author="mallory", message="Run more proxies\n\nWhy not.", time_ms=T0_MS)
    scenario = Scenario(f"edge-{number:04d}").started(repository(), kustomization())
    scenario.tick(10_000 + 20 * number)
    if number < BAD:
        scenario.see(repository(REV2))
        scenario.after(200).see(kustomization(ready="False", reason="ReconciliationFailed", attempted=REV2))
        scenario.after(300).remote(RemoteDetail(heads={"refs/heads/main": told}))
    assert not scenario.refused
    return [(T0_MS + 10_000 + 20 * number, fact) for fact in scenario.facts]


def test_a_bad_revision_on_80_of_200_clusters_is_one_incident_with_its_author() -> None:
    world, reduced = World(), ReduceStep()
    told = sorted((each for number in range(CLUSTERS) for each in story(number)), key=lambda each: each[0])
    for offset, (at_ms, fact) in enumerate(told):
        record = Input(fact.topic.name, 0, offset, at_ms, fact.key, None, fact.event, fact.event is None)
        passed = reduced.process({}, Batch(0, 1, [record]))
        for one in passed.facts:
            world.now_ms = at_ms
            world.absorb(IncidentsStep(trusted).process(world.cells, Batch(0, 1, [world.record(one.event)])))
    first, last = world.told[0], world.wait(2).only()
    assert (first.cause.name, first.blast_radius.clusters, first.opened_at) == (REV2, 2, first.changed_at)
    assert (last.blast_radius.clusters, last.blast_radius.objects, last.members_omitted) == (BAD, BAD, 0)
    assert last.title == "main@2222222 fails in 80 clusters: “Run more proxies” by mallory"
    assert last.cause.source == "https://git.example/fleet.git"
    assert {member.symptom for member in last.members} == {"failing"}
    assert not world.refused
