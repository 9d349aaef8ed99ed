"""Every fact validates against its published schema, and readers tolerate what they do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
import pytest
from pydantic import BaseModel

from abdrift.topics import FACT_TYPES, HEALTH, TOPICS, FactType
from tests.contract import examples
from tests.contract.validate import validate_record, validator

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = [pytest.param(fact, id=name) for name, fact in sorted(FACT_TYPES.items())]
MAKERS = [pytest.param(examples.full, id="full"), pytest.param(examples.minimal, id="minimal")]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("fact", FACTS)
def test_an_example_validates_and_comes_back(fact: FactType, make: Any) -> None:
    data = make(fact.model)
    event = examples.event(fact, data)
    validate_record(event.encode())
    read = fact.model.model_validate(event.data)
    assert read.model_dump(mode="json", exclude_none=True) == event.data


def test_an_event_of_no_cluster_validates() -> None:
    validate_record(examples.event(HEALTH, examples.full(HEALTH.model), cluster=None).encode())


@pytest.mark.parametrize("fact", FACTS)
def test_times_are_utc_with_milliseconds(fact: FactType) -> None:
    data = examples.full(fact.model).model_dump(mode="json")
    times = [value for value in _texts(data) if value.startswith("2026-")]
    assert times
    assert set(times) == {examples.MOMENT_TEXT}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


@pytest.mark.parametrize("fact", FACTS)
def test_a_field_to_come_is_tolerated_by_schema_and_reader(fact: FactType) -> None:
    event = orjson.loads(examples.event(fact, examples.full(fact.model)).encode())
    event["traceparent"] = "00-a-b-01"
    _with_novelty(event["data"])
    validate_record(orjson.dumps(event))
    assert fact.model.model_validate(event["data"]) == examples.full(fact.model)


_MAPS = (
    *("labels", "headers", "match_labels", "old", "new", "outcomes"),
    *("symptoms", "clusters_by_site", "clusters_by_environment"),
)


def _with_novelty(value: dict[str, Any]) -> None:
    """Add an unknown member to the data and to each of its objects that is a model, not a map."""
    for name, inner in value.items():
        if isinstance(inner, dict) and name not in _MAPS:
            _with_novelty(inner)
    value["novelty"] = {"of": 2027}


DAMAGED: list[Any] = [
    pytest.param({"data": []}, id="data-no-object"),
    pytest.param({"time": "yesterday"}, id="time-no-time"),
    pytest.param({"specversion": "2.0"}, id="another-cloudevents"),
    pytest.param({"cluster": None}, id="null-attribute"),
    pytest.param({"id": ""}, id="empty-id"),
    pytest.param({"subject": ""}, id="empty-subject"),
    pytest.param({"type": "dev.abdrift.fleet.weather.v1"}, id="unpublished-type"),
    pytest.param({"type": None}, id="no-type"),
]


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("fact", FACTS)
def test_what_breaks_the_contract_is_no_record(fact: FactType, damage: dict[str, Any]) -> None:
    event = orjson.loads(examples.event(fact, examples.full(fact.model)).encode())
    with pytest.raises(jsonschema.ValidationError):
        validate_record(orjson.dumps(event | damage))


@pytest.mark.parametrize("value", [b"", b"[]", b"{", b"\xff"])
def test_bytes_of_no_event_are_no_record(value: bytes) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate_record(value)


@pytest.mark.parametrize("fact", FACTS)
def test_every_time_has_its_format(fact: FactType) -> None:
    schema = validator(fact.name).schema
    models = _models(fact.model)
    for model in models:
        properties = (schema["properties"]["data"] if model is fact.model else schema["$defs"][model.__name__])[
            "properties"
        ]
        for name, value in examples.full(model):
            if value == examples.MOMENT.replace(microsecond=123_000):
                assert '"date-time"' in orjson.dumps(properties[name]).decode(), f"{model.__name__}.{name}"


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for _, value in examples.full(model):
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, BaseModel):
                found |= _models(type(one))
    return found


def test_a_type_belongs_to_one_public_topic() -> None:
    for name in FACT_TYPES:
        assert len([t for t in TOPICS if t.public and name in {f.name for f in t.facts}]) == 1, name
