"""What passes from every partition into the one order of the fleet."""

from typing import Any

import pytest

from abdrift.cloudevents import CloudEvent
from abdrift.topics import (
    APPROVAL,
    FINDING,
    FLEET_APPROVALS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    FLEET_POLICY,
    FLEET_REDUCED,
    HEALTH,
    INVENTORY,
    OUTCOME,
    POLICY,
    VERDICT,
    FactType,
    Topic,
)
from streams.reduce import MAX_FIELDS, ReduceStep
from streams.step import Batch, Input, Result


def event(fact_type: FactType, data: dict[str, Any], cluster: str | None = "edge-1") -> CloudEvent:
    return CloudEvent(
        id="e1",
        source="/abdrift/tests",
        type=fact_type.name,
        subject="s1",
        time="2026-01-01T00:00:00.000Z",
        cluster=cluster,
        data=data,
    )


def reduce(topic: Topic, told: CloudEvent | None, *, partition: int = 0, tombstone: str | None = None) -> Result[Any]:
    record = Input(topic.name, partition, 7, 1_000, tombstone, None, told, tombstone is not None)
    return ReduceStep().process({}, Batch(partition, 4, [record]))


PASSING: dict[str, tuple[Topic, CloudEvent, int]] = {
    "inventory": (FLEET_INVENTORY, event(INVENTORY, {"cluster": {"name": "edge-1"}}), 3),
    "cluster-health": (FLEET_HEALTH, event(HEALTH, {"scope": "cluster"}), 3),
    "verdict": (FLEET_DRIFT, event(VERDICT, {"verdict": "drifted"}), 3),
    "approval": (FLEET_APPROVALS, event(APPROVAL, {"action": "thaw"}, None), 3),
    "outcome": (FLEET_OUTCOMES, event(OUTCOME, {"result": "corrected"}), 3),
    "first-policy": (FLEET_POLICY, event(POLICY, {"name": "default"}, None), 0),
}


@pytest.mark.parametrize(("topic", "told", "partition"), PASSING.values(), ids=PASSING)
def test_facts_pass_unchanged(topic: Topic, told: CloudEvent, partition: int) -> None:
    result = reduce(topic, told, partition=partition)
    (fact,) = result.facts
    assert (fact.topic, fact.key, fact.scope, fact.event) == (FLEET_REDUCED, "s1", told.cluster or "fleet", told)
    assert (dict(result.cells), list(result.refused)) == ({}, [])


STAYING: dict[str, tuple[Topic, CloudEvent | None, int]] = {
    "second-policy": (FLEET_POLICY, event(POLICY, {"name": "default"}, None), 1),
    "workload-health": (FLEET_HEALTH, event(HEALTH, {"scope": "workload"}), 0),
    "tick": (FLEET_DRIFT, None, 0),
}


@pytest.mark.parametrize(("topic", "told", "partition"), STAYING.values(), ids=STAYING)
def test_what_the_fleet_does_not_need_stays_behind(topic: Topic, told: CloudEvent | None, partition: int) -> None:
    assert not reduce(topic, told, partition=partition).facts


TOMBSTONES: dict[str, tuple[Topic, str, bool]] = {
    "cluster": (FLEET_INVENTORY, "edge-1", True),
    "finding": (FLEET_DRIFT, "f1", True),
    "cluster-health": (FLEET_HEALTH, "cluster/edge-1", True),
    "workload-health": (FLEET_HEALTH, "workload/edge-1/apps/Deployment/web/shop", False),
    "policy": (FLEET_POLICY, "edge-1", False),
    "approval": (FLEET_APPROVALS, "edge-1", False),
    "outcome": (FLEET_OUTCOMES, "c1", False),
    "without-key": (FLEET_DRIFT, "", False),
}


@pytest.mark.parametrize(("topic", "key", "passes"), TOMBSTONES.values(), ids=TOMBSTONES)
def test_only_tombstones_that_cannot_be_mistaken_pass(topic: Topic, key: str, passes: bool) -> None:
    facts = reduce(topic, None, tombstone=key).facts
    assert [(f.key, f.event) for f in facts] == ([(key, None)] if passes else [])


def told_of_workloads(*records: tuple[str, str | None]) -> list[bool]:
    """Return which of a workload's records passed, each a status and the revision that its rollout came with."""
    cells: dict[str, Any] = {}
    passed = []
    for offset, (status, revision) in enumerate(records):
        told = event(HEALTH, {"scope": "workload", "status": status, "rollout_revision": revision})
        result = ReduceStep().process(
            cells, Batch(0, 4, [Input(FLEET_HEALTH.name, 0, offset, 1_000, "s1", None, told)])
        )
        cells = {key: cell for key, cell in {**cells, **result.cells}.items() if cell is not None}
        passed.append(bool(result.facts))
    return passed


@pytest.mark.parametrize(
    ("records", "passed"),
    [
        pytest.param([("failing", None), ("healthy", None)], [False, False], id="nobody knows why it fails"),
        pytest.param([("degraded", None), ("healthy", None)], [False, False], id="it does not fail"),
        pytest.param([("failing", "main@sha1:b"), ("healthy", None)], [True, True], id="a rollout failed"),
        pytest.param([("failing", "main@sha1:b"), ("failing", None)], [True, True], id="no longer for the rollout"),
        pytest.param(
            [("failing", "main@sha1:b"), ("unknown", None), ("healthy", None)], [True, False, True], id="out of sight"
        ),
    ],
)
def test_of_workloads_only_failed_rollouts_pass_and_their_end(
    records: list[tuple[str, str | None]], passed: list[bool]
) -> None:
    assert told_of_workloads(*records) == passed


def told_of_nodes(*records: tuple[str, str | None]) -> list[tuple[str, bool]]:
    """Return which records passed, each a node and its status, or None for its tombstone; True for a fact."""
    cells: dict[str, Any] = {}
    passed = []
    for offset, (node, status) in enumerate(records):
        data = {"scope": "node", "status": status}
        told = event(HEALTH, data).model_copy(update={"subject": node}) if status else None
        record = Input(FLEET_HEALTH.name, 0, offset, 1_000, node, None, told, told is None)
        result = ReduceStep().process(cells, Batch(0, 4, [record]))
        for key, cell in result.cells.items():
            if cell is None:
                del cells[key]
            else:
                cells[key] = cell
        passed += [(fact.key, fact.event is not None) for fact in result.facts]
    assert len(cells) <= 1
    return passed


NODES: dict[str, tuple[list[tuple[str, str | None]], int]] = {
    "healthy": ([("node/a/n1", "healthy"), ("node/a/n1", "degraded"), ("node/a/n1", None)], 0),
    "failing": ([("node/a/n1", "failing")], 1),
    "failing-and-back": ([("node/a/n1", "failing"), ("node/a/n1", "degraded"), ("node/a/n1", "healthy")], 2),
    "failing-out-of-sight-and-back": (
        [("node/a/n1", "failing"), ("node/a/n1", "unknown"), ("node/a/n1", "healthy")],
        2,
    ),
    "failing-and-gone": ([("node/a/n1", "failing"), ("node/a/n1", None)], 2),
    "another": ([("node/a/n1", "failing"), ("node/a/n2", "healthy"), ("node/a/n2", None)], 1),
}


@pytest.mark.parametrize(("records", "passing"), NODES.values(), ids=NODES)
def test_nodes_pass_when_they_fail_and_when_they_no_longer_do(
    records: list[tuple[str, str | None]], passing: int
) -> None:
    passed = told_of_nodes(*records)
    assert len(passed) == passing
    assert {key for key, _ in passed} <= {"node/a/n1"}


def test_values_of_fields_stay_behind() -> None:
    by = {"manager": "kubectl"}
    told = event(
        FINDING, {"fields": [{"path": "/a", "op": "replace", "old": 1, "new": {"x": 2}, "by": by}], "kind": "changed"}
    )
    (fact,) = reduce(FLEET_DRIFT, told).facts
    assert fact.event is not None
    assert fact.event.data == {
        "fields": [{"path": "/a", "op": "replace", "by": by}],
        "fields_omitted": 0,
        "kind": "changed",
    }
    assert (fact.event.id, fact.event.subject, fact.event.type) == (told.id, told.subject, told.type)


def test_fields_beyond_the_bound_are_counted() -> None:
    fields = [{"path": f"/{n}", "op": "add"} for n in range(MAX_FIELDS + 3)]
    (fact,) = reduce(FLEET_DRIFT, event(FINDING, {"fields": fields, "fields_omitted": 2})).facts
    assert fact.event is not None
    assert (len(fact.event.data["fields"]), fact.event.data["fields_omitted"]) == (MAX_FIELDS, 5)


MALFORMED: dict[str, Any] = {"number": 5, "list-of-numbers": [5], "nothing": None}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_finding_is_refused_and_its_neighbour_passes(fields: Any) -> None:
    bad = Input(FLEET_DRIFT.name, 1, 7, 1_000, "s1", None, event(FINDING, {"fields": fields}))
    good = Input(FLEET_DRIFT.name, 1, 8, 1_000, "s1", None, event(FINDING, {"kind": "changed"}))
    result = ReduceStep().process({}, Batch(1, 4, [bad, good]))
    assert [(r.reason, r.cause.offset) for r in result.refused] == [("invalid-fact", 7)]
    assert len(result.facts) == 1
