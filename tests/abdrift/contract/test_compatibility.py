"""What breaks a reader is refused, and nothing else is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.contract import released
from abdrift.contract.compatibility import breaks, topic_breaks
from abdrift.contract.generate import schema
from abdrift.topics import FACT_TYPES, FINDING

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASED = Path(__file__).parents[2] / "contract" / "released"
OLD: dict[str, Any] = {
    "$id": "urn:abdrift:schema:a.v1",
    "description": "A fact.",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "state": {"$ref": "#/$defs/State"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}, "default": []},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name", "state"],
    "$defs": {
        "State": {"enum": ["open", "closed"], "type": "string"},
        "Part": {
            "properties": {"size": {"type": "integer"}, "inner": {"$ref": "#/$defs/Part"}},
            "required": ["size"],
        },
    },
}

COMPATIBLE: list[Any] = [
    pytest.param(lambda new: new.update(), id="nothing"),
    pytest.param(lambda new: new["properties"].update(more={"type": "string"}), id="a-new-optional-field"),
    pytest.param(lambda new: new["$defs"]["Part"]["properties"].update(more={"type": "null"}), id="one-deeper"),
    pytest.param(lambda new: new["$defs"]["State"]["enum"].append("paused"), id="a-new-value"),
    pytest.param(lambda new: new.update(description="Another."), id="other-words"),
    pytest.param(lambda new: new["properties"]["name"].update(title="Name"), id="a-title"),
    pytest.param(
        lambda new: (
            new["$defs"].update(Condition=new["$defs"].pop("State")),
            new["properties"].update(state={"$ref": "#/$defs/Condition"}),
        ),
        id="a-shape-renamed",
    ),
]
BREAKING: list[Any] = [
    pytest.param(lambda new: new["properties"].pop("note"), "note: the field was taken away", id="field-gone"),
    pytest.param(lambda new: new["required"].remove("name"), "name: it was always there", id="may-be-absent"),
    pytest.param(lambda new: new["required"].append("count"), "count: it could be absent", id="made-required"),
    pytest.param(
        lambda new: (new["properties"].update(more={"type": "string"}), new["required"].append("more")),
        "more: a new field is required",
        id="new-and-required",
    ),
    pytest.param(lambda new: new["properties"]["count"].update(type="number"), "count: type was", id="type-widened"),
    pytest.param(lambda new: new["properties"]["count"].update(type="string"), "count: type was", id="type-changed"),
    pytest.param(lambda new: new["properties"]["count"].update(minimum=0), "count: minimum was 1", id="bound-loosened"),
    pytest.param(lambda new: new["properties"]["count"].pop("minimum"), "and is None", id="bound-gone"),
    pytest.param(lambda new: new["properties"]["name"].update(format="uri"), "name: format was", id="format-added"),
    pytest.param(lambda new: new["properties"]["name"].update(pattern="^a"), "name: pattern was", id="pattern-added"),
    pytest.param(
        lambda new: new["properties"]["parts"].update(default=[1]), "parts: default was", id="default-changed"
    ),
    pytest.param(lambda new: new["$defs"]["State"]["enum"].remove("open"), "state: values were taken", id="value-gone"),
    pytest.param(lambda new: new["$defs"]["State"].pop("enum"), "state: it was an enumeration", id="any-value"),
    pytest.param(lambda new: new["properties"]["name"].update(enum=["a"]), "become an enumeration", id="enumerated"),
    pytest.param(
        lambda new: new["properties"]["note"]["anyOf"].append({"type": "integer"}), "3", id="another-shape-possible"
    ),
    pytest.param(
        lambda new: new["properties"]["note"]["anyOf"][0].update(type="integer"), "note: type was", id="shape-changed"
    ),
    pytest.param(
        lambda new: new["properties"]["labels"]["additionalProperties"].update(type="integer"), "labels{}", id="map"
    ),
    pytest.param(
        lambda new: new["properties"]["labels"].pop("additionalProperties"), "additionalProperties", id="no-map"
    ),
    pytest.param(lambda new: new["$defs"]["Part"]["properties"].pop("size"), "parts[].size", id="deep-in-an-array"),
    pytest.param(lambda new: new.update({"$id": "urn:b"}), "the record: $id was", id="identity"),
    pytest.param(lambda new: new.update(additionalProperties=False), "additionalProperties", id="closed"),
]


@pytest.mark.parametrize("change", COMPATIBLE)
def test_what_serves_every_reader_is_let_through(change: Callable[[dict[str, Any]], Any]) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    assert breaks(OLD, new) == []


@pytest.mark.parametrize(("change", "said"), BREAKING)
def test_what_breaks_a_reader_is_found_and_named(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    new = copy.deepcopy(OLD)
    change(new)
    found = [str(each) for each in breaks(OLD, new)]
    assert len(found) == 1
    assert said in found[0]


TOPIC = {"key": "id", "placed_by": "cluster", "compacted": False, "retention_ms": 10, "facts": ["a"]}


@pytest.mark.parametrize(
    ("now", "broken"),
    [
        pytest.param({"a": TOPIC, "b": TOPIC}, 0, id="another-topic"),
        pytest.param({"a": TOPIC | {"retention_ms": 20, "facts": ["a", "b"]}}, 0, id="longer-and-more"),
        pytest.param({"a": TOPIC | {"retention_ms": None}}, 0, id="for-good"),
        pytest.param({}, 1, id="topic-gone"),
        pytest.param({"a": TOPIC | {"retention_ms": 9}}, 1, id="shorter"),
        pytest.param({"a": TOPIC | {"key": "name", "placed_by": "key", "compacted": True}}, 3, id="placed-otherwise"),
        pytest.param({"a": TOPIC | {"facts": ["b"]}}, 1, id="fact-gone"),
    ],
)
def test_a_topic_keeps_what_it_promised(now: dict[str, Any], broken: int) -> None:
    assert len(topic_breaks({"a": TOPIC}, now)) == broken


def test_the_current_contract_breaks_nobody() -> None:
    assert released.problems(RELEASED) == []


def test_what_would_break_readers_is_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released.release(tmp_path)
    assert released.release(tmp_path) == [], "nothing has changed"
    narrowed = copy.deepcopy(schema(FINDING))
    del narrowed["properties"]["data"]["properties"]["message"]
    monkeypatch.setattr(released, "schema", lambda fact: narrowed if fact is FINDING else schema(fact))
    with pytest.raises(released.BreakingError, match=r"data\.message: the field was taken away"):
        released.release(tmp_path)


def test_a_fact_type_that_goes_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released.release(tmp_path)
    monkeypatch.setattr(released, "FACT_TYPES", {n: f for n, f in FACT_TYPES.items() if f is not FINDING})
    assert f"{FINDING.name}: the fact type was taken away" in released.problems(tmp_path)
