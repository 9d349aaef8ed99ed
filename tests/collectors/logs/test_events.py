"""Bounds: what is too long, too early, too late, of no cluster or no event at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from abdrift import frames
from abdrift.signals import logs
from abdrift.signals.logs import LogRow
from collectors.logs.events import EventsConfig, Origin, Reader, Refused
from collectors.receiving.clients import Client
from collectors.receiving.config import ClientConfig
from tests.collectors.logs.events import OBSERVED_MS, ORIGIN, row
from tests.collectors.logs.test_secrets import CANARY, JSON

READER = Reader(EventsConfig(max_message_bytes=64, max_fields_bytes=128), "logs/test")


def adjusted(what: str) -> float:
    return REGISTRY.get_sample_value("abdrift_logs_adjusted_total", {"source": "logs/test", "what": what}) or 0.0


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        pytest.param(-3600, -3600, id="an-hour-ago"),
        pytest.param(30, 30, id="half-a-minute-ahead"),
        pytest.param(-90 * 86_400, -30 * 86_400, id="three-months-ago"),
        pytest.param(86_400, 600, id="tomorrow"),
        pytest.param(4_000_000_000, 600, id="in-the-year-2153"),
    ],
)
def test_wrong_clocks_are_bounded_and_counted(seconds: int, kept: int) -> None:
    before = adjusted("time-bounded")
    found = row({"cluster": "c", "time": OBSERVED_MS + seconds * 1000})
    assert found.time_ms == OBSERVED_MS + kept * 1000
    assert adjusted("time-bounded") - before == (seconds != kept)
    # What the sender said is not lost.
    assert found.fields == (
        "" if seconds == kept else json.dumps({"time": OBSERVED_MS + seconds * 1000}).replace(" ", "")
    )


def test_without_a_time_it_is_when_it_came() -> None:
    before = adjusted("time-unreadable")
    assert row({"cluster": "c", "message": "x"}).time_ms == OBSERVED_MS
    assert adjusted("time-unreadable") == before
    assert row({"cluster": "c", "time": "soon"}).time_ms == OBSERVED_MS
    assert adjusted("time-unreadable") == before + 1


@pytest.mark.parametrize(
    ("event", "sent_seconds", "seconds"),
    [
        pytest.param({"@timestamp": "soon", "timestamp": OBSERVED_MS - 5_000}, None, -5, id="the-next-field"),
        pytest.param({"message": "x"}, -60, -60, id="when-it-was-sent"),
        pytest.param({"message": "x"}, 86_400, 600, id="sent-by-a-wrong-clock"),
        pytest.param({"time": OBSERVED_MS - 5_000}, -60, -5, id="the-event-s-own-before"),
    ],
)
def test_where_else_the_time_is_looked_for(event: dict[str, Any], sent_seconds: int | None, seconds: int) -> None:
    sent_ms = None if sent_seconds is None else OBSERVED_MS + sent_seconds * 1000
    found = READER.read({"cluster": "c"} | event, replace(ORIGIN, sent_ms=sent_ms))
    assert isinstance(found, LogRow)
    assert found.time_ms == OBSERVED_MS + seconds * 1000


def test_a_long_line_is_cut_between_characters_and_counted() -> None:
    before = adjusted("message-cut")
    found = row({"cluster": "c", "message": "ä" * 100}, max_message_bytes=65)
    assert found.message == "ä" * 32
    assert adjusted("message-cut") == before + 1


def test_a_secret_at_the_cut_is_hidden() -> None:
    found = row({"cluster": "c", "message": "x" * 50 + f" password={CANARY}"}, max_message_bytes=70)
    assert "tweety" not in found.message


def test_fields_beyond_the_bound_are_left_out_and_counted() -> None:
    before = adjusted("field-left-out")
    found = row({"cluster": "c", "big": "x" * 500, "small": 1, "other": 2}, max_fields_bytes=128)
    assert json.loads(found.fields) == {"small": 1, "other": 2, "abdrift.fields_left_out": 1}
    assert len(found.fields) <= 128
    assert adjusted("field-left-out") == before + 1


def test_long_names_are_cut_and_counted() -> None:
    before = adjusted("name-cut")
    assert len(row({"cluster": "c", "k8s.pod.name": "p" * 1000}).pod) == 253
    assert adjusted("name-cut") == before + 1


@pytest.mark.parametrize(
    ("client", "event", "outcome"),
    [
        pytest.param({"cluster": "edge-1"}, {"cluster": "other"}, "edge-1", id="whatever-it-names"),
        pytest.param({"cluster": "edge-1"}, {"message": "x"}, "edge-1", id="names-none"),
        pytest.param({"clusters": ["edge-*"]}, {"cluster": "edge-2"}, "edge-2", id="one-of-several"),
        pytest.param({"clusters": ["edge-*"]}, {"cluster": "mgmt"}, "not-its-cluster", id="another-s"),
        pytest.param({"clusters": ["edge-*"]}, {"message": "x"}, "no-cluster", id="several-and-names-none"),
    ],
)
def test_the_cluster_is_the_client_s_or_one_that_it_speaks_for(
    client: dict[str, Any], event: dict[str, Any], outcome: str
) -> None:
    sender = Client(ClientConfig(name="x", addresses=("127.0.0.1",), **client))
    found = Reader(EventsConfig(), "logs/test").read(event, Origin(sender.cluster_of, OBSERVED_MS, "test"))
    assert (found.reason if isinstance(found, Refused) else found.cluster) == outcome


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "bad-json"),
        (b"{", "bad-json"),
        (b'{"a":"\xff"}', "bad-json"),
        (b'"\\ud800"', "bad-json"),
        (b"[" * 5000, "bad-json"),
        (b"7", "no-object"),
        (b'"text"', "no-object"),
        (b"[1]", "no-object"),
        (b"{}", "no-object"),
        (b'{"message":"x"}', "no-cluster"),
    ],
)
def test_what_is_no_event_is_refused_with_its_bytes(value: bytes, reason: str) -> None:
    found = Reader(EventsConfig(), "logs/test").read_json(value, ORIGIN)
    assert isinstance(found, Refused)
    assert (found.reason, found.value) == (reason, value)


@pytest.mark.parametrize("value", [b'{"password":"%b"' % CANARY.encode(), b'{"password":"%b"}' % CANARY.encode()])
def test_a_refused_event_holds_no_secret_either(value: bytes) -> None:
    found = Reader(EventsConfig(), "logs/test").read_json(value, ORIGIN)
    assert isinstance(found, Refused)
    assert CANARY.encode() not in found.value


NAMES = st.sampled_from(
    ["cluster", "message", "@timestamp", "level", "kubernetes", "pod", "name", "host", "log", "password", "kind"]
)
EVENTS = st.dictionaries(NAMES | st.text(), JSON | st.dictionaries(NAMES, JSON, max_size=4), max_size=8)


@given(EVENTS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_event_becomes_a_row_that_a_frame_can_hold(event: dict[str, Any]) -> None:
    found = READER.read({"cluster": "c"} | event, ORIGIN)
    if isinstance(found, Refused):
        orjson.loads(found.value)
        return
    assert isinstance(found, LogRow)
    assert len(found.message.encode()) <= 64
    assert len(found.fields.encode()) <= 128
    frames.encode(logs.LOGS, logs.columns_of([found]), ("logs/test", 1, 0))


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    assert isinstance(READER.read_json(value, ORIGIN), LogRow | Refused)
