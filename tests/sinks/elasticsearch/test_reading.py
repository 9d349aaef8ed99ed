"""What becomes of records: documents, letters, or nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import pytest

from abdrift.latest import Change
from abdrift.letters import Letter
from abdrift.signals import events, logs
from abdrift.topics import (
    EVENTS,
    FINDING,
    FLEET_DRIFT,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    FLEET_POLICY,
    LOGS,
    OUTCOME,
    POLICY,
)
from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.operations import Operation
from sinks.elasticsearch.places import Places
from sinks.elasticsearch.reading import FactsReader, SignalsReader
from tests.contract import examples
from tests.sinks.elasticsearch import story
from tests.sinks.elasticsearch.records import NOW_MS, framed, record
from tests.sinks.elasticsearch.test_documents import EVENT, LOG

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import BaseModel

    from abdrift.topics import FactType

SERVER: dict[str, Any] = {"urls": ["http://es:9200"]}
CONFIG = ElasticsearchConfig(elasticsearch=SERVER)
TICK = [("abdrift-kind", b"tick")]


def facts_of(given: Any, **settings: Any) -> list[Any]:
    """Return what becomes of a record, in short."""
    config = ElasticsearchConfig(elasticsearch=SERVER, facts=settings)
    return [short(one) for one in FactsReader(config, Places(), lambda: NOW_MS)(given)]


def short(one: Operation | Letter) -> Any:
    return one.reason if isinstance(one, Letter) else (one.action.value, one.index, one.id, one.version)


def encoded(fact: FactType, data: BaseModel, at: datetime = story.NOW) -> bytes:
    return fact.event("s", data, event_id="e1", source="/tests", at=at, cluster="edge-1").encode()


FINDING_VALUE = encoded(FINDING, story.finding())
HUGE = FINDING_VALUE.replace(b'"revision":1', b'"revision":' + b"9" * 30)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            record(FLEET_DRIFT.name, FINDING_VALUE, b"f1"),
            [("index", "abdrift-current-drift", "f1", 8), ("create", "abdrift-facts-drift-2026.11", "e1", None)],
        ),
        (
            record(FLEET_DRIFT.name, encoded(FINDING, story.finding(), story.NOW - timedelta(days=500)), b"f1"),
            [("index", "abdrift-current-drift", "f1", 8)],
        ),
        (
            record(FLEET_OUTCOMES.name, encoded(OUTCOME, examples.minimal(OUTCOME.model)), b"c1"),
            [("create", "abdrift-facts-outcomes-2026.11", "e1", None)],
        ),
        (
            record(FLEET_POLICY.name, encoded(POLICY, examples.minimal(POLICY.model)), b"default"),
            [("create", "abdrift-facts-policy-2026.11", "e1", None)],
        ),
        (record(FLEET_DRIFT.name, None, b"f1"), [("delete", "abdrift-current-drift", "f1", 8)]),
        (record(FLEET_OUTCOMES.name, None, b"c1"), []),
        (record(FLEET_DRIFT.name, None, b"tick", headers=TICK), []),
        (record(FLEET_DRIFT.name, FINDING_VALUE.replace(b"finding.v1", b"finding.v9", 1), b"f1"), []),
        (record(FLEET_DRIFT.name, b"{}"), ["bad-event"]),
        (record(FLEET_DRIFT.name, b"\xff"), ["bad-event"]),
        (record(FLEET_DRIFT.name, FINDING_VALUE.replace(b'"open"', b'"ajar"')), ["bad-event"]),
        (record(FLEET_DRIFT.name, HUGE), ["bad-event"]),
        (record(FLEET_DRIFT.name, FINDING_VALUE.replace(b'"time":"2026-11-23', b'"time":"9999-12-31')), ["bad-event"]),
        (record(FLEET_DRIFT.name, FINDING_VALUE.replace(b'"time":"2026-11-23', b'"time":"today')), ["bad-event"]),
    ],
    ids=[
        "a fact, and what is so now",
        "past retention, yet so now",
        "of a topic that is not compacted",
        "a policy",
        "a tombstone",
        "a tombstone where nothing is so now",
        "a tick",
        "a newer type",
        "no CloudEvent",
        "no JSON",
        "data of another shape",
        "a number that no JSON encoder writes",
        "a time after which there is no month",
        "no time",
    ],
)
def test_what_becomes_of_a_fact(given: Any, expected: list[Any]) -> None:
    assert facts_of(given) == expected


def test_only_chosen_topics_are_read() -> None:
    config = ElasticsearchConfig(elasticsearch=SERVER, facts={"topics": ["outcomes"]})
    assert FactsReader(config, Places(), lambda: NOW_MS).topics == [FLEET_OUTCOMES.name]


def test_of_some_topics_only_what_is_so_now_is_kept() -> None:
    given = record(FLEET_DRIFT.name, FINDING_VALUE, b"f1")
    assert facts_of(given, only_current=["drift"]) == [("index", "abdrift-current-drift", "f1", 8)]


def test_an_id_that_elasticsearch_would_refuse_is_a_hash() -> None:
    ((_, _, long_id, _), _) = facts_of(record(FLEET_DRIFT.name, FINDING_VALUE, b"k" * 600))
    assert len(long_id) == 64


def test_a_letter_holds_the_record_as_it_was() -> None:
    config = ElasticsearchConfig(elasticsearch=SERVER)
    (letter,) = FactsReader(config, Places(), lambda: NOW_MS)(record(FLEET_DRIFT.name, b"{}", b"f1"))
    assert isinstance(letter, Letter)
    assert (letter.value, letter.key, letter.partition, letter.offset) == (b"{}", b"f1", 3, 7)


def rows_of(given: Any, **settings: Any) -> list[tuple[str, str]]:
    """Return the rows' ids and messages."""
    found = SignalsReader(ElasticsearchConfig(elasticsearch=SERVER, **settings), Places())(given)
    operations = [one for one in found if isinstance(one, Operation)]
    assert all(one.is_streamed for one in operations)
    return [(one.id.rpartition("-")[2], orjson.loads(one.body)["message"]) for one in operations]


def log(**changes: Any) -> logs.LogRow:
    return msgspec.structs.replace(LOG, **changes)


LINES = [
    log(severity="error", message="0"),
    log(severity="warn", message="1"),
    log(severity="fatal", message="2", cluster="core-1"),
    log(severity="", message="3"),
    log(severity="error", message="4", namespace="kube-system"),
]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({}, ["0", "2", "4"]),
        ({"severity": "warn"}, ["0", "1", "2", "4"]),
        ({"clusters": ["edge-*"]}, ["0", "4"]),
        ({"namespaces": ["shop"]}, ["0", "2"]),
        ({"severity": ""}, ["0", "1", "2", "3", "4"]),
    ],
    ids=["by default", "less severe", "clusters", "namespaces", "all"],
)
def test_which_lines_are_chosen(settings: dict[str, Any], rows: list[str]) -> None:
    given = framed(LOGS.name, logs.LOGS, logs.columns_of(LINES))
    assert rows_of(given, logs=settings) == [(row, row) for row in rows]


def test_which_events_are_chosen() -> None:
    normal = msgspec.structs.replace(EVENT, type="Normal", message="fine")
    given = framed(EVENTS.name, events.EVENTS, events.columns_of([normal, EVENT]))
    assert rows_of(given) == [("1", "Back-off restarting")]
    assert [row for row, _ in rows_of(given, events={"types": ["Normal", "Warning"]})] == ["0", "1"]


def test_a_rows_id_is_its_place_and_when_kafka_took_it() -> None:
    given = framed(EVENTS.name, events.EVENTS, events.columns_of([EVENT]))
    (one,) = SignalsReader(CONFIG, Places())(given)
    assert isinstance(one, Operation)
    assert one.id == f"events-3-7-{NOW_MS:x}-0"
    assert one.index == "logs-abdrift.events-default"


def test_a_frame_that_cannot_be_read_is_a_letter() -> None:
    (letter,) = SignalsReader(CONFIG, Places())(record(LOGS.name, b"no frame"))
    assert isinstance(letter, Letter)
    assert letter.reason == "unknown-signal"


@pytest.mark.parametrize("topic", [EVENTS.name, LOGS.name])
def test_a_tick_among_frames_is_no_letter(topic: str) -> None:
    assert not list(SignalsReader(CONFIG, Places())(record(topic, None, None, headers=TICK)))


@pytest.mark.parametrize(
    ("bad", "letters"), [(1, ["bad-row"]), (120, ["bad-row"] * 101)], ids=["one row", "more than have letters"]
)
def test_a_row_of_no_time_holds_nothing_up(bad: int, letters: list[str]) -> None:
    rows = [*[log(time_ms=2**60)] * bad, log(time_ms=1)]
    found = list(SignalsReader(CONFIG, Places())(framed(LOGS.name, logs.LOGS, logs.columns_of(rows))))
    assert [one.reason for one in found if isinstance(one, Letter)] == letters
    assert [one.place.row for one in found if isinstance(one, Operation)] == [bad]


def test_what_is_not_enabled_is_not_read() -> None:
    config = ElasticsearchConfig(elasticsearch=SERVER, logs={"enabled": False}, events={"enabled": False})
    assert SignalsReader(config, Places()).topics == []


def inventory(value: bytes | None) -> Change:
    return Change(FLEET_INVENTORY.name, "edge-0042", value, 0)


def test_a_document_says_where_its_cluster_is_as_long_as_that_is_known() -> None:
    places = Places()
    (known,) = (event for noun, event in story.events() if noun == "inventory")
    value = encoded(FINDING, story.finding())
    where = []
    for told in (inventory(known.encode()), inventory(b"no JSON"), inventory(known.encode()), inventory(None)):
        places.take([told])
        first, *_ = FactsReader(CONFIG, places, lambda: NOW_MS)(record(FLEET_DRIFT.name, value, b"f1"))
        assert isinstance(first, Operation)
        where.append(orjson.loads(first.body)["abdrift"].get("cluster"))
    there = {"site": ["zrh"], "region": ["eu"], "environment": ["prd"]}
    assert where == [there, None, there, None]


def test_a_row_says_it_too() -> None:
    places = Places()
    (known,) = (event for noun, event in story.events() if noun == "inventory")
    places.take([inventory(known.encode())])
    (one,) = SignalsReader(CONFIG, places)(framed(EVENTS.name, events.EVENTS, events.columns_of([EVENT])))
    assert isinstance(one, Operation)
    assert orjson.loads(one.body)["abdrift"]["cluster"]["site"] == ["zrh"]
