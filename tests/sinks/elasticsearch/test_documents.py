"""Facts and rows as documents: which fields say what, and that nothing but declared fields is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from abdrift.cloudevents import CloudEvent
from abdrift.signals.events import EventRow
from abdrift.signals.logs import LogRow
from sinks.elasticsearch.documents import facts, parts, signals
from sinks.elasticsearch.indices import FACT_TOPICS
from sinks.elasticsearch.mappings import FACTS, FLATTENED, KEPT, SIGNALS
from tests.contract import examples
from tests.sinks.elasticsearch import story

if TYPE_CHECKING:
    from abdrift.topics import FactType

CASES = [(noun, fact) for noun, topic in FACT_TOPICS.items() for fact in topic.facts]


def said(action: str) -> dict[str, Any]:
    """Return the fields of the story's first fact with this action."""
    for noun, event in story.events():
        fields = facts.document(event, noun, 0)
        assert fields
        if fields["event.action"] == action:
            return fields
    raise AssertionError(f"nothing did {action}")


@pytest.mark.parametrize(("noun", "fact"), CASES, ids=[fact.name for _, fact in CASES])
@pytest.mark.parametrize("make", [examples.full, examples.minimal], ids=["full", "minimal"])
def test_every_field_that_is_written_is_declared(noun: str, fact: FactType, make: Any) -> None:
    fields = facts.document(examples.event(fact, make(fact.model)), noun, 0)
    assert fields
    assert not set(fields) - set(FACTS)
    assert orjson.loads(parts.encoded(fields))["abdrift"]["fact"]


def test_every_declared_field_is_written_by_some_fact_or_row() -> None:
    written = {
        name
        for noun, fact in CASES
        for name, value in (facts.document(examples.event(fact, examples.full(fact.model)), noun, 0) or {}).items()
        if value not in (None, [], {})
    }
    told = {name for noun, event in story.events() for name in facts.document(event, noun, 0) or {}}
    places = {f"abdrift.cluster.{kind}" for kind in parts.PLACES}
    assert set(FACTS) <= written | told | places
    rows = [signals.document(row, "default", "abdrift.x") for row in (EVENT, LOG)]
    assert set(SIGNALS) == {name for fields in rows for name in fields} | places


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (
            "drift-opened",
            {
                "event.kind": "alert",
                "orchestrator.cluster.name": "edge-0042",
                "orchestrator.resource.name": "web",
                "abdrift.owner.id": "Kustomization/flux-system/apps",
                "abdrift.field.path": ["/spec/replicas"],
                "abdrift.field.old": ["3"],
                "abdrift.field.new": ["5"],
                "related.user": ["kubectl-edit"],
                "related.hash": "9f2c1e0d5b7a4f66a1c3e8d2b4f60718293a4b5c",
                "abdrift.evidence.age_ms": 5_000,
            },
        ),
        ("drift-closed", {"event.reason": "corrected", "event.duration": 4_000_000_000, "abdrift.open": False}),
        ("verdict-drifted", {"abdrift.open_findings": 2, "abdrift.git.revision": story.REVISION}),
        ("inventory-known", {"labels": {"site": "zrh", "region": "eu", "environment": "prd"}}),
        ("health-failing", {"message": "workload web is failing: web does not roll out", "abdrift.health.score": 20}),
        (
            "incident-opened",
            {
                "orchestrator.cluster.name": ["edge-0042"],
                "abdrift.git.author": "mira@example.org",
                "abdrift.git.revision": story.REVISION,
                "abdrift.incident.clusters": 1,
                "abdrift.finding.id": ["f2"],
            },
        ),
        ("command-issued", {"abdrift.command.verb": "reconcile", "abdrift.git.revision": story.REVISION}),
        ("decision-refused", {"abdrift.reasons": ["held"], "event.reason": "held until noon"}),
        ("outcome-accepted", {"event.outcome": "unknown"}),
        ("outcome-corrected", {"event.outcome": "success", "abdrift.command.id": "c1"}),
        ("approval-hold", {"user.name": "ops@example.org", "event.reason": "while we look"}),
        ("policy-applied", {"abdrift.policy": "default@3"}),
        ("breaker-closed", {"abdrift.open": False, "abdrift.commands_in_flight": 1}),
    ],
)
def test_what_a_fact_says(action: str, expected: dict[str, Any]) -> None:
    fields = said(action)
    assert {name: fields.get(name) for name in expected} == expected


EVENT = EventRow(
    cluster="edge-0042",
    namespace="shop",
    type="Warning",
    reason="BackOff",
    component="kubelet",
    object_group="",
    object_kind="Pod",
    object_name="web-1",
    count=3,
    first_ms=1_000,
    last_ms=2_000,
    observed_ms=3_000,
    message="Back-off restarting",
    revision="main@sha1:abc",
    object_uid="u",
)
LOG = LogRow(
    cluster="edge-0042",
    namespace="shop",
    workload_kind="Deployment",
    workload="web",
    pod="web-1",
    container="app",
    node="n1",
    severity="error",
    sender="vector",
    time_ms=2_000,
    observed_ms=3_000,
    message="boom",
    fields='{"http.status": 500}',
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            EVENT,
            {
                "event.code": "BackOff",
                "log.level": "warning",
                "related.hash": "abc",
                "abdrift.object": "Pod/shop/web-1",
            },
        ),
        (LOG, {"log.level": "error", "service.name": "web", "host.name": "n1", "abdrift.fields": {"http.status": 500}}),
    ],
    ids=["event", "log"],
)
def test_what_a_row_says(row: EventRow | LogRow, expected: dict[str, Any]) -> None:
    fields = signals.document(row, "default", "abdrift.x")
    assert {name: fields[name] for name in expected} == expected
    assert fields["@timestamp"] == "1970-01-01T00:00:02.000Z"


def test_a_type_that_is_not_known_is_no_document() -> None:
    event = examples.event(CASES[0][1], examples.minimal(CASES[0][1].model)).model_copy(update={"type": "newer"})
    assert facts.document(CloudEvent.model_validate(event), "drift", 0) is None


def test_a_fact_without_a_time_is_told() -> None:
    event = examples.event(CASES[0][1], examples.minimal(CASES[0][1].model)).model_copy(update={"time": "noon"})
    with pytest.raises(ValueError, match="noon"):
        facts.document(event, CASES[0][0], 0)


@pytest.mark.parametrize(
    ("fields", "document"),
    [
        ({"a.b": 1, "a.c": "x", "d": True}, {"a": {"b": 1, "c": "x"}, "d": True}),
        ({"a.b": None, "c": "", "d": [], "e": {}}, {}),
        ({"a": 0, "b": False}, {"a": 0, "b": False}),
    ],
    ids=["nested", "empty", "zero and false stay"],
)
def test_a_document_is_nested_and_says_nothing_empty(fields: dict[str, Any], document: dict[str, Any]) -> None:
    assert orjson.loads(parts.encoded(fields)) == document


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), ("a", "a"), ({"b": [1]}, '{"b":[1]}'), ("x" * 2_000, "x" * 1_024)],
    ids=["number", "text", "object", "long"],
)
def test_values_of_any_shape_are_texts(value: Any, text: str) -> None:
    assert parts.as_text(value) == text


def test_objects_of_any_shape_make_no_fields() -> None:
    arbitrary = {name for name, kind in FACTS.items() | SIGNALS.items() if kind in (KEPT, FLATTENED)}
    assert arbitrary == {"abdrift.fact", "labels", "abdrift.fields"}
