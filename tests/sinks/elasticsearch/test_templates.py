"""Names, retention and what is installed, by what the server has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from sinks.elasticsearch import indices, templates
from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.features import Features
from sinks.elasticsearch.mappings import CONSTANT, MATCH_ONLY

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SERVER: dict[str, Any] = {"urls": ["http://es:9200"]}
CONFIG = ElasticsearchConfig(elasticsearch=SERVER)
FULL = Features("9.5.3", has_ilm=True, has_lifecycle=True, types=frozenset({CONSTANT, MATCH_ONLY}))
OLD = Features("9.0.0", has_ilm=True, has_lifecycle=False, types=frozenset({CONSTANT}))
SERVERLESS = Features("9.5.3", has_ilm=False, has_lifecycle=True, types=frozenset({CONSTANT, MATCH_ONLY}))
BARE = Features("9.5.3", has_ilm=False, has_lifecycle=False, types=frozenset())


@pytest.mark.parametrize(
    ("has", "policies", "facts", "events"),
    [
        (
            FULL,
            {"abdrift-facts"},
            {"settings": {"index.lifecycle.name": "abdrift-facts"}},
            {"lifecycle": {"data_retention": "14d"}},
        ),
        (
            OLD,
            {"abdrift-facts", "logs-abdrift.events", "logs-abdrift.logs"},
            {"settings": {"index.lifecycle.name": "abdrift-facts"}},
            {"settings": {"index.lifecycle.name": "logs-abdrift.events"}},
        ),
        (SERVERLESS, set(), {}, {"lifecycle": {"data_retention": "14d"}}),
        (BARE, set(), {}, {}),
    ],
    ids=["full", "only ILM", "only lifecycles", "bare"],
)
def test_retention_is_the_servers_where_it_can(has: Features, policies: set[str], facts: Any, events: Any) -> None:
    made = templates.made(CONFIG, has)
    assert set(made.policies) == policies
    assert made.templates["abdrift-facts"]["template"] == facts
    assert made.templates["logs-abdrift.events"]["template"] == events


@pytest.mark.parametrize(
    ("has", "dataset", "message"),
    [(FULL, CONSTANT, MATCH_ONLY), (OLD, CONSTANT, "text"), (BARE, "keyword", "text")],
    ids=["full", "some", "bare"],
)
def test_a_type_that_the_server_lacks_has_a_plain_one_in_its_place(has: Features, dataset: str, message: str) -> None:
    fields = templates.made(CONFIG, has).components["abdrift@signals"]["mappings"]["properties"]
    assert fields["data_stream"]["properties"]["dataset"]["type"] == dataset
    assert fields["message"]["type"] == message


def test_mappings_are_closed() -> None:
    components = templates.made(CONFIG, FULL).components
    assert [c["mappings"]["dynamic"] for c in components.values() if "mappings" in c] == [False, False]


@pytest.mark.parametrize(
    ("time", "index"),
    [
        (datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC), "abdrift-facts-drift-2026.10"),
        (datetime(2026, 11, 1, tzinfo=UTC), "abdrift-facts-drift-2026.11"),
        (datetime.fromisoformat("2026-11-01T01:30:00+02:00"), "abdrift-facts-drift-2026.10"),
    ],
    ids=["last second", "first second", "elsewhere on earth"],
)
def test_a_fact_is_in_the_month_of_its_own_time(time: datetime, index: str) -> None:
    assert indices.facts_index("drift", time) == index


@pytest.mark.parametrize(
    ("name", "is_over"),
    [
        ("abdrift-facts-drift-2026.07", True),
        ("abdrift-facts-dead-letters-2025.12", True),
        ("abdrift-facts-drift-2026.08", False),
        ("abdrift-facts-drift-2026.11", False),
        ("abdrift-facts-drift-2025.01-restored", False),
        ("abdrift-current-drift", False),
        ("somebody-elses-2020.01", False),
    ],
)
def test_a_month_is_over_when_all_of_it_is(name: str, is_over: bool) -> None:
    assert indices.over([name], NOW, retention_days=90) == ([name] if is_over else [])


def test_what_would_be_dropped_at_once_is_not_written() -> None:
    july = datetime(2026, 7, 15, tzinfo=UTC)
    assert indices.is_past(july, NOW, 90)
    assert not indices.is_past(july, NOW, 120)


def test_of_a_stream_the_newest_backing_index_stays() -> None:
    day_ms = 86_400_000
    created = {"b-1": 0, "b-2": 10 * day_ms, "b-3": 20 * day_ms}
    assert indices.over_in_stream(created, 23 * day_ms, 14) == []
    assert indices.over_in_stream(created, 24 * day_ms, 14) == ["b-1"]
    assert indices.over_in_stream(created, 99 * day_ms, 14) == ["b-1", "b-2"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"elasticsearch": {"urls": ["es:9200"]}}, "does not begin with http"),
        ({"elasticsearch": {"urls": ["http://me:secret@es:9200"]}}, "carries no password"),
        ({"elasticsearch": SERVER | {"username": "me"}}, "go together"),
        ({"elasticsearch": SERVER, "facts": {"topics": ["drifts"]}}, "there is no topic 'drifts'"),
        ({"elasticsearch": SERVER, "logs": {"severity": "bad"}}, "severity"),
    ],
    ids=["no URL", "password in the URL", "half a login", "topic", "severity"],
)
def test_a_wrong_configuration_is_told(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ElasticsearchConfig.model_validate(given)
