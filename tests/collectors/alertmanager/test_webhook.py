"""Alertmanager's notifications, as its documentation has them, and what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abdrift.configuration import ConfigurationError
from collectors.alertmanager import build
from collectors.receiving import Client, Received, RefusedError
from collectors.receiving.config import ClientConfig
from tests.collectors.receiving.receiving import TOKEN_SHA256, wiring
from tests.collectors.recording import Recording

if TYPE_CHECKING:
    from abdrift.signals.alerts import AlertRow

LABELS = {"alertname": "WebDown", "severity": "page", "cluster": "edge-0042", "namespace": "demo", "deployment": "web"}


def alert(**changes: Any) -> dict[str, Any]:
    """A firing alert."""
    return {
        "status": "firing",
        "labels": LABELS,
        "annotations": {"summary": "web has no replica", "runbook": "…"},
        "startsAt": "2026-11-23T10:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph?g0.expr=up",
        "fingerprint": "c3f1a0b2d4e5f607",
        **changes,
    }


def notification(*alerts: dict[str, Any], **changes: Any) -> bytes:
    """A notification of version 4."""
    return json.dumps(
        {
            "version": "4",
            "groupKey": '{}:{alertname="WebDown"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "abdrift",
            "groupLabels": {"alertname": "WebDown"},
            "commonLabels": LABELS,
            "commonAnnotations": {},
            "externalURL": "http://alertmanager",
            "alerts": alerts,
            **changes,
        }
    ).encode()


def received(body: bytes, headers: dict[str, str] | None = None, **client: Any) -> Received:
    config = ClientConfig.model_validate(
        {"name": "mgmt", "clusters": ["edge-*"], "bearer_sha256": TOKEN_SHA256, **client}
    )
    return Received(Client(config), "POST", "/alertmanager", {}, headers or {}, body, 1_795_000_000_000)


async def taken(body: bytes, **client: Any) -> list[AlertRow]:
    outlet = Recording()
    answer = await build({}, wiring("alertmanager", outlet)).handle(received(body, **client))
    assert answer.status == 200
    return outlet.rows  # type: ignore[return-value]


async def test_an_alert_that_fires() -> None:
    (row,) = await taken(notification(alert()))
    assert row.labelled() == LABELS
    assert (row.cluster, row.sender, row.name, row.status) == ("edge-0042", "alertmanager", "WebDown", "firing")
    assert (row.severity, row.fingerprint, row.message) == ("page", "c3f1a0b2d4e5f607", "web has no replica")
    assert (row.starts_ms, row.ends_ms, row.observed_ms) == (1_795_428_000_123, 0, 1_795_000_000_000)
    assert row.group == '{}:{alertname="WebDown"}'
    assert row.url == "http://prometheus/graph?g0.expr=up"


async def test_an_alert_that_is_resolved_beside_one_that_fires() -> None:
    gone = alert(status="resolved", endsAt="2026-11-23T10:05:00Z", fingerprint="00")
    rows = await taken(notification(gone, alert(), truncatedAlerts=3))
    assert [(row.status, row.ends_ms) for row in rows] == [("resolved", 1_795_428_300_000), ("firing", 0)]


@pytest.mark.parametrize(
    ("labels", "client", "clusters"),
    [
        pytest.param({"cluster": "edge-0001"}, {}, ["edge-0001"], id="named"),
        pytest.param({"cluster": "mgmt-1"}, {"clusters": (), "cluster": "edge-7"}, ["edge-7"], id="the-clients-own"),
        pytest.param({}, {"clusters": (), "cluster": "edge-7"}, ["edge-7"], id="unnamed"),
    ],
)
async def test_whose_alert_it_is(labels: dict[str, str], client: dict[str, Any], clusters: list[str]) -> None:
    rows = await taken(notification(alert(labels=labels)), **client)
    assert [row.cluster for row in rows] == clusters


async def test_alerts_of_clusters_that_are_not_the_clients_are_left_out() -> None:
    rows = await taken(notification(alert(), alert(labels={"cluster": "core-1"}), alert(labels={})))
    assert [row.cluster for row in rows] == ["edge-0042"]


async def test_a_long_annotation_is_cut() -> None:
    (row,) = await taken(notification(alert(annotations={"description": "x" * 10_000})))
    assert len(row.message) == 4096
    assert row.message.endswith("…")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"{", 400, id="half"),
        pytest.param(b"\xff\xfe", 400, id="no-text"),
        pytest.param(notification(alert()).replace(b"WebDown", b"\xff"), 400, id="no-text-within"),
        pytest.param(notification(alert()).replace(b"WebDown", b"\\ud800"), 400, id="half-a-character"),
        pytest.param(b"[" * 100_000, 400, id="deep"),
        pytest.param(b"[]", 400, id="no-object"),
        pytest.param(b'{"version": "4"}', 400, id="no-alerts"),
        pytest.param(notification(version="3"), 400, id="another-version"),
        pytest.param(notification(alert(status="gone")), 400, id="status-that-is-none"),
        pytest.param(notification(alert(labels={"a": 1})), 400, id="label-that-is-no-text"),
        pytest.param(notification(alert(startsAt="yesterday")), 400, id="no-time"),
        pytest.param(notification(alert(labels={**LABELS, "x": "y" * 70_000})), 400, id="labels-too-large"),
        pytest.param(notification(alert(labels={"cluster": "core-1"})), 403, id="no-cluster-of-the-clients"),
        pytest.param(notification(alert(labels={"cluster": "edge-" + "x" * 300})), 403, id="no-name-of-a-cluster"),
    ],
)
async def test_what_is_no_notification_is_refused(body: bytes, status: int) -> None:
    outlet = Recording()
    with pytest.raises(RefusedError) as refused:
        await build({}, wiring("alertmanager", outlet)).handle(received(body))
    assert refused.value.status == status
    assert not outlet.rows


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(field=st.sampled_from((*FIELDS, "version", "alerts", "truncatedAlerts", "groupKey")), value=JSON | st.binary())
async def test_whatever_stands_in_a_field_it_is_taken_or_refused(field: str, value: Any) -> None:
    outlet = Recording()
    if isinstance(value, bytes):
        body = notification(alert()).replace(b"WebDown", value, 1)
    elif field in FIELDS:
        body = notification(alert(**{field: value}))
    else:
        body = notification(alert(), **{field: value})
    refused = 0
    try:
        await build({}, wiring("alertmanager", outlet)).handle(received(body))
    except RefusedError as error:
        refused = error.status
    assert refused in (0, 400, 403)
    assert not (refused and outlet.rows)


async def test_no_alerts_is_no_mistake() -> None:
    assert await taken(notification()) == []


def test_a_setting_that_is_none_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"handlers\.alertmanager\.pth"):
        build({"pth": "/x"}, wiring("alertmanager", Recording()))
