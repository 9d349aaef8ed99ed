"""The step is a pure function: however its inputs are cut into batches, facts and state come out the same."""

from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.facts.governance import DriftAllowance, IgnoreRule, Policy
from abdrift.signals.objects import InventoryDetail, RemoteDetail, RemoteHead
from streams.drift.cells import AnyCell
from streams.drift.step import DriftStep
from streams.step import Batch, Input, cell_codec
from tests.streams.drift.scenario import (
    CONFIG_MAP,
    REV2,
    T0_MS,
    WEB_ENTRY,
    Scenario,
    applying,
    config,
    edited,
    entry,
    kustomization,
    repository,
    trusting,
    web,
)

LATER_MS = T0_MS + 60_000
SCALED = edited(
    web(), "/spec/replicas", 5, entry("kubectl", "Update", None, "spec.replicas", sub="scale"), ("spec.replicas",)
)
FORGED = web(applied_ms=LATER_MS, image="web:evil")
HEADS = RemoteDetail(heads={"refs/heads/main": RemoteHead(sha="2" * 40)})
QUICK = Policy(
    allowance=DriftAllowance(behind_after_seconds=1, suspended_after_seconds=1),
    ignore=(IgnoreRule(name="r", managers=("kubectl",)),),
)
BEGUN = Scenario().proven()

STORIES: dict[str, Any] = {
    "scale": lambda s: s.see(SCALED),
    "forge": lambda s: s.see(FORGED),
    "restore": lambda s: s.see(web()),
    "delete": lambda s: s.delete(config()),
    "recreate": lambda s: s.see(config(), op="added"),
    "two at once": lambda s: s.see(SCALED, config(color="red")),
    "begin": lambda s: s.see(applying(total=s.offset)),
    "end": lambda s: s.see(kustomization(total=s.offset)),
    "prune": lambda s: s.see(kustomization(total=s.offset, entries=(WEB_ENTRY,))),
    "commit": lambda s: s.see(repository(REV2)),
    "head": lambda s: s.remote(HEADS),
    "suspend": lambda s: s.see(kustomization(spec={"suspend": True})),
    "fail": lambda s: s.see(kustomization(ready="False", reason="BuildFailed")),
    "leave": lambda s: s.delete(kustomization()),
    "lose": lambda s: s.lost(CONFIG_MAP),
    "sync": lambda s: s.synced(),
    "beat": lambda s: s.heartbeat(interval_ms=2_000),
    "name": lambda s: s.feed(s.said("inventory", InventoryDetail())),
    "withdraw": lambda s: s.feed(s.said("inventory", InventoryDetail(withdrawn=True))),
    "declare": lambda s: s.policy(QUICK),
    "retract": lambda s: s.policy(None),
    "nonsense": lambda s: s.feed(s.row("modified", kustomization(entries=("x",)))),
    "wait": lambda s: s.tick(1_500),
    "wait long": lambda s: s.tick(90_000_000),
}


def told(steps: list[tuple[str, int]]) -> Scenario:
    scenario = BEGUN.copied()
    for name, pause_ms in steps:
        STORIES[name](scenario.after(pause_ms))
    return scenario


def replayed(inputs: list[Input], cuts: list[int]) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """Feed the inputs in batches, through the encoding that state is kept in."""
    step = DriftStep(trusting)
    encoder, decoder = cell_codec(AnyCell)
    cells: dict[str, bytes] = {}
    facts, refused = [], []
    bounds = sorted({0, len(inputs), *(cut % (len(inputs) + 1) for cut in cuts)})
    for first, last in pairwise(bounds):
        before = {key: decoder.decode(raw) for key, raw in cells.items()}
        result = step.process(before, Batch(0, 1, inputs[first:last]))
        for key, cell in result.cells.items():
            if cell is None:
                cells.pop(key, None)
            else:
                cells[key] = encoder.encode(cell)
        facts += result.facts
        refused += result.refused
    return {key: decoder.decode(raw) for key, raw in cells.items()}, facts, refused


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STORIES)), st.sampled_from([0, 50, 1_000, 70_000])), max_size=12),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_batches_may_be_cut_anywhere(steps: list[tuple[str, int]], cuts: list[int]) -> None:
    scenario = told(steps)
    cells, facts, refused = replayed(scenario.inputs, cuts)
    assert facts == scenario.facts
    assert refused == scenario.refused
    assert cells == scenario.cells


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(sorted(STORIES)), st.sampled_from([0, 50, 1_000, 70_000])), max_size=20))
def test_whatever_happens_facts_have_ids_of_their_own_and_findings_count_up(steps: list[tuple[str, int]]) -> None:
    scenario = told(steps)
    ids = [fact.event.id for fact in scenario.facts if fact.event]
    assert len(ids) == len(set(ids))
    assert scenario.findings() is not None
    revisions = [each.revision for each in scenario.verdicts()]
    assert all(revision >= 1 for revision in revisions)


def test_work_does_not_grow_with_what_is_at_rest() -> None:
    """A row about one object reads no cell of the others."""

    class Counting(dict[str, Any]):
        reads: set[str] = set()  # noqa: RUF012  one instance

        def get(self, key: str, default: Any = None) -> Any:
            self.reads.add(key)
            return super().get(key, default)

    names = [f"c{i:03}" for i in range(200)]
    entries = (WEB_ENTRY, *(f"demo_{name}__ConfigMap" for name in names))
    scenario = Scenario().started(repository(), kustomization(entries=entries), web(), *(config(name=n) for n in names))
    scenario.reconciled(entries=entries).after(1_000)
    cells = Counting(scenario.cells)
    row = scenario.inputs[-1]
    scenario.see(web(applied_ms=LATER_MS, replicas=3))
    step_input = scenario.inputs[-1]
    assert row.offset < step_input.offset
    scenario.step.process(cells, Batch(0, 1, [step_input]))
    assert len([key for key in cells.reads if key.startswith("object/")]) <= 2


def test_a_step_says_what_it_reads_and_writes() -> None:
    step = DriftStep(trusting)
    reads = ["abdrift.signals.objects.v1", "abdrift.signals.alerts.v1", "abdrift.fleet.policy.v1"]
    assert [topic.name for topic in step.reads] == reads
    assert [topic.name for topic in step.writes] == ["abdrift.fleet.drift.v1", "abdrift.fleet.inventory.v1"]
