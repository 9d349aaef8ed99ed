"""What metrics and logs say against workloads, nodes and clusters, in their health."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from abdrift import frames
from abdrift.signals import levels
from abdrift.signals.levels import LevelRow
from abdrift.signals.objects import ObjectRow
from tests.streams.health.test_step import CLUSTER, T0, WEB, Story, deployment, heartbeat

NODE = "node/edge-1/Node/n1"
OF_WORKLOAD = {"subject": "workload", "namespace": "shop", "kind": "Pod", "name": "web"}
OF_NODE = {"subject": "node", "kind": "Node", "name": "n1"}
OF_CLUSTER = {"subject": "cluster"}


def level(state: str = "firing", sequence: int = 0, **changed: Any) -> frames.Frame:
    row: dict[str, Any] = {
        "cluster": "edge-1",
        "rule": "too-deep",
        "state": state,
        "severity": "failing",
        "source": "metrics",
        "message": "the value of depth is 12",
        "last_ms": T0 - 2_000,
        "judged_ms": T0,
    }
    made = frames.encode(levels.LEVELS, levels.columns_of([LevelRow(**(row | changed))]), ("levels/0", 1, sequence))
    return frames.decode(made.value, made.headers)


def node() -> ObjectRow:
    obj = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    return ObjectRow(
        cluster="edge-1",
        op="modified",
        version="v1",
        kind="Node",
        name="n1",
        uid="n1",
        observed_ms=T0,
        object=orjson.dumps(obj),
    )


def beats(story: Story, first: int, last: int) -> None:
    for second in range(first, last, 5):
        story.feed(second, heartbeat())


SUBJECTS = [
    pytest.param(OF_WORKLOAD, WEB, id="workload-by-its-pod"),
    pytest.param(OF_WORKLOAD | {"kind": "", "name": "web"}, WEB, id="workload-of-no-kind"),
    pytest.param(OF_NODE, NODE, id="node"),
    pytest.param(OF_CLUSTER, CLUSTER, id="cluster"),
]


@pytest.mark.parametrize(("subject", "key"), SUBJECTS)
def test_a_level_is_a_reason_until_it_is_cleared(subject: dict[str, str], key: str) -> None:
    story = Story().feed(0, heartbeat(), deployment(2), node()).feed(1, frame=level(**subject))
    assert story.status(key) == "failing"
    fact = story.latest[key]
    found = next(reason for reason in fact["reasons"] if reason["code"] == "TooDeep")
    assert (found["message"], found["source"]) == ("the value of depth is 12", "metrics")
    source = next(one for one in fact["evidence"]["sources"] if one["source"] == "metrics/edge-1")
    assert (source["what"], source["as_of"], source["complete"]) == ("TooDeep", "2023-11-14T22:13:18.000Z", True)
    story.feed(2, frame=level("clear", sequence=1, **subject))
    beats(story, 3, 30)
    assert story.status(key) == "healthy"
    assert not [cell for cell in story.cells if "levels/" in cell]


@pytest.mark.parametrize(("subject", "key"), SUBJECTS)
def test_a_level_that_fell_silent_is_unknown_and_never_healthy(subject: dict[str, str], key: str) -> None:
    story = Story().feed(0, heartbeat(), deployment(2), node()).feed(1, frame=level(severity="degraded", **subject))
    beats(story, 2, 30)
    assert story.status(key) == "degraded"
    story.feed(31, frame=level("unknown", sequence=1, **subject))
    beats(story, 32, 60)
    assert story.status(key) == "unknown"
    assert not story.latest[key]["evidence"]["complete"]


def test_rules_are_reasons_side_by_side() -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(1, frame=level(**OF_WORKLOAD))
    story.feed(2, frame=level(sequence=1, rule="log-errors", source="logs", **OF_WORKLOAD))
    assert {reason["code"] for reason in story.latest[WEB]["reasons"]} == {"TooDeep", "LogErrors"}
    story.feed(3, frame=level("clear", sequence=2, **OF_WORKLOAD))
    assert [reason["code"] for reason in story.latest[WEB]["reasons"]] == ["LogErrors"]


def test_what_is_said_before_the_object_comes_counts_when_it_does() -> None:
    story = Story().feed(0, heartbeat()).feed(1, frame=level(**OF_NODE)).feed(2, frame=level(sequence=1, **OF_WORKLOAD))
    story.feed(3, deployment(2), node())
    assert [story.status(key) for key in (WEB, NODE)] == ["failing", "failing"]


def test_a_workload_that_comes_back_has_what_is_still_said_of_it() -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(1, frame=level(**OF_WORKLOAD))
    story.feed(2, deployment(2, op="deleted"))
    assert story.latest[WEB] is None
    story.feed(3, deployment(2))
    assert story.status(WEB) == "failing"


def test_a_frame_that_comes_again_late_says_nothing() -> None:
    story = Story().feed(0, heartbeat(), deployment(2)).feed(1, frame=level(**OF_WORKLOAD))
    story.feed(2, frame=level("clear", sequence=1, **OF_WORKLOAD)).feed(3, frame=level(**OF_WORKLOAD))
    beats(story, 4, 30)
    assert story.status(WEB) == "healthy"
