"""The envelope is CloudEvents 1.0 in structured JSON mode."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent

FULL = {
    "specversion": "1.0",
    "id": "i",
    "source": "/abdrift/streams/drift",
    "type": "dev.abdrift.fleet.drift.finding.v1",
    "subject": "s",
    "time": "2023-11-14T22:13:20.000Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:abdrift:schema:x",
    "cluster": "edge-1",
    "data": {"old": None, "nested": {"none": None}},
}


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in FULL.items() if k != name}


def test_an_event_survives_its_bytes() -> None:
    event = CloudEvent.decode(orjson.dumps(FULL))
    assert orjson.loads(event.encode()) == FULL
    assert CloudEvent.decode(event.encode()) == event


@pytest.mark.parametrize("name", ["dataschema", "cluster"])
def test_an_absent_attribute_is_left_out_rather_than_null(name: str) -> None:
    assert name not in orjson.loads(CloudEvent.model_validate(without(name)).encode())


def test_attribute_names_are_lower_case_and_alphanumeric() -> None:
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in CloudEvent.model_fields)


def test_an_extension_of_someone_else_is_kept() -> None:
    event = CloudEvent.decode(orjson.dumps(FULL | {"traceparent": "00-a-b-01"}))
    assert orjson.loads(event.encode())["traceparent"] == "00-a-b-01"


@pytest.mark.parametrize(
    "value",
    [
        *(pytest.param(orjson.dumps(without(name)), id=f"no-{name}") for name in ("id", "source", "type", "data")),
        pytest.param(orjson.dumps(FULL | {"id": ""}), id="empty-id"),
        pytest.param(orjson.dumps(FULL | {"specversion": "2.0"}), id="another-version"),
        pytest.param(orjson.dumps(FULL | {"data": "text"}), id="data-no-object"),
        pytest.param(b"[]", id="no-object"),
        pytest.param(b"{", id="no-json"),
        pytest.param(b"\xff", id="no-utf8"),
    ],
)
def test_what_is_no_event_is_refused(value: bytes) -> None:
    with pytest.raises(ValidationError):
        CloudEvent.decode(value)
