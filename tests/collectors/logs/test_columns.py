"""One line, as each sender writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.collectors.logs import events

POD = {
    "namespace": "shop",
    "workload_kind": "Deployment",
    "workload": "api",
    "pod": "api-5d8f7c9b4-x2x7q",
    "container": "server",
}


@pytest.mark.parametrize(
    ("event", "columns"),
    [
        pytest.param(events.FILEBEAT, POD | {"sender": "filebeat"}, id="filebeat"),
        pytest.param(events.ECS_DOTTED, POD | {"sender": "test"}, id="ecs-with-dots"),
        pytest.param(events.OPENTELEMETRY, POD | {"sender": "test"}, id="opentelemetry"),
        pytest.param(events.FLUENT_BIT, POD | {"sender": "test", "workload_kind": "", "workload": ""}, id="fluent-bit"),
        pytest.param(
            events.VECTOR,
            POD | {"sender": "vector", "workload_kind": "ReplicaSet", "workload": "api-5d8f7c9b4"},
            id="vector",
        ),
        pytest.param(events.LOGSTASH, {"sender": "logstash", "pod": "", "namespace": ""}, id="logstash"),
        pytest.param(events.RSYSLOG, {"sender": "test", "pod": ""}, id="rsyslog"),
        pytest.param(events.JOURNALD, {"sender": "test", "pod": ""}, id="journald"),
    ],
)
def test_each_sender_s_names_come_to_the_same_columns(event: dict[str, Any], columns: dict[str, str]) -> None:
    found = events.row(event)
    same = {"cluster": "edge-0042", "node": "node-1", "severity": "error", "message": "payment failed"}
    assert {name: getattr(found, name) for name in same | columns} == same | columns
    assert (found.time_ms, found.observed_ms) == (events.TIME_MS, events.OBSERVED_MS)


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        pytest.param(
            events.FLUENT_BIT, {"stream": "stderr", "kubernetes.labels.app.kubernetes.io/name": "api"}, id="nested"
        ),
        pytest.param(events.RSYSLOG, {"log.syslog.facility.name": "daemon", "process.name": "etcd"}, id="dotted"),
        pytest.param({"cluster": "c", "a.b": 1, "a": {"b": 2}}, {"a.b": 1, "a.b~": 2}, id="twice-the-same-name"),
        pytest.param({"cluster": "c", "a": [{"b": 1}], "c": {}}, {"a": [{"b": 1}]}, id="lists-as-they-are"),
        pytest.param({"cluster": "c", "host": ["n"], "level": {"x": 1}}, {"host": ["n"], "level.x": 1}, id="no-text"),
        pytest.param({"cluster": "c", "level": "zork"}, {"level": "zork"}, id="a-severity-that-is-none"),
        pytest.param({"cluster": "c", "time": "soon"}, {"time": "soon"}, id="a-time-that-is-none"),
    ],
)
def test_what_no_column_takes_is_kept(event: dict[str, Any], kept: dict[str, Any]) -> None:
    assert json.loads(events.row(event).fields) == kept


def test_nothing_is_kept_of_an_event_that_the_columns_hold() -> None:
    assert events.row({"cluster": "c", "message": "m", "level": "info", "@timestamp": events.TIME}).fields == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({"message": None, "log": "line\r\n"}, "line", id="the-next-name-where-the-first-is-null"),
        pytest.param({"message": {"a": 1}}, "", id="an-object-is-fields"),
        pytest.param({"message": ["a", 1]}, '["a",1]', id="a-list-as-json"),
        pytest.param({"message": 7}, "7", id="a-number"),
        pytest.param({"level": "info"}, "", id="none"),
    ],
)
def test_messages(value: dict[str, Any], message: str) -> None:
    assert events.row({"cluster": "c", **value}).message == message


def test_a_configured_field_names_the_cluster_before_the_table_s() -> None:
    event = {"cluster": "table", "labels": {"site_cluster": "own"}}
    assert events.row(event, cluster_fields=["labels.site_cluster"]).cluster == "own"
    assert events.row(event).cluster == "table"
