"""The governor on what the drift step really says, brought over by the reduce step."""

from collections.abc import Callable
from typing import Any

import pytest

from streams.reduce import ReduceStep
from streams.step import Batch, Input
from tests.streams.drift.scenario import CONFIG_MAP, Scenario, config, edited, entry, kustomization, repository, web
from tests.streams.governor.world import ACT, World

ANY_VERB = {**ACT, "clusters": {}}


def hand_edit() -> dict[str, Any]:
    by = entry("kubectl", "Update", None, "spec.replicas", sub="scale")
    return edited(web(), "/spec/replicas", 5, by, ("spec.replicas",))


def governed(scenario: Scenario) -> World:
    """Return a governor that was told everything the drift step said, and then a policy."""
    world = World(now_ms=scenario.now_ms)
    inputs = [
        Input(f.topic.name, 0, n, scenario.now_ms, f.key, None, f.event, f.event is None)
        for n, f in enumerate(scenario.facts)
    ]
    reduced = ReduceStep().process({}, Batch(0, 1, inputs))
    assert not reduced.refused
    world.feed(world.record(f.event, tombstone=f.key if f.event is None else None) for f in reduced.facts)
    world.tell(world.policy(ANY_VERB))
    world.wait(1)
    return world


STORIES: dict[str, tuple[Callable[[], Scenario], str]] = {
    "proven-edit": (lambda: _edited(Scenario().proven()), "commanded: allowed"),
    "first-sight": (lambda: Scenario().started(*_listed_late()).tick(1_000), "refused: first-sight first-sight"),
    "kind-forbidden": (lambda: _edited(Scenario().proven()).lost(CONFIG_MAP).tick(250), "refused: evidence-incomplete"),
    "two-edits": (lambda: _edited(Scenario().proven()).see(config(color="red")).tick(250), "commanded: allowed"),
    "foreign-default": (lambda: _foreign(Scenario().proven()), "refused: reconcile-would-not-correct"),
}


def _edited(scenario: Scenario) -> Scenario:
    return scenario.after(5_000).see(hand_edit()).tick(250)


def _foreign(scenario: Scenario) -> Scenario:
    by = entry("my-operator", "Update", scenario.now_ms + 5_000, "spec.revisionHistoryLimit")
    return scenario.after(5_000).see(edited(web(), "/spec/revisionHistoryLimit", 3, by)).tick(250)


def _listed_late() -> list[dict[str, Any]]:
    return [repository(), kustomization(), hand_edit(), config()]


@pytest.mark.parametrize(("story", "decision"), STORIES.values(), ids=STORIES)
def test_what_drift_says_is_decided(story: Callable[[], Scenario], decision: str) -> None:
    scenario = story()
    world = governed(scenario)
    assert not world.refused
    assert world.last == decision, world.decisions[-1]


def test_a_command_expects_the_revision_that_drift_saw_applied() -> None:
    scenario = _edited(Scenario().proven())
    (command,) = governed(scenario).commands
    (finding,) = scenario.open()
    assert command.finding_ids == (finding.finding_id,)
    assert command.expected_revision == scenario.verdict().applied_revision
    assert command.expected_effects[0].paths == ("/spec/replicas",)
    assert command.cluster.uid == scenario.inventories()[-1].cluster.uid
