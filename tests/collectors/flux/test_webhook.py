"""Flux's events, as its notification controller posts them, and what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.flux import build
from collectors.receiving import Client, NotItsClusterError, Received, RefusedError
from collectors.receiving.config import ClientConfig
from tests.collectors.receiving.receiving import TOKEN_SHA256, wiring
from tests.collectors.recording import Recording

if TYPE_CHECKING:
    from abdrift.signals.alerts import AlertRow

INVOLVED = {
    "kind": "Kustomization",
    "namespace": "flux-system",
    "name": "apps",
    "uid": "7c0a",
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
    "resourceVersion": "101",
}


def event(**changes: Any) -> bytes:
    """An event of kustomize-controller."""
    return json.dumps(
        {
            "involvedObject": INVOLVED,
            "severity": "error",
            "timestamp": "2026-11-23T10:00:00Z",
            "message": "kustomize build failed",
            "reason": "BuildFailed",
            "metadata": {"cluster": "edge-0042", "kustomize.toolkit.fluxcd.io/revision": "main@sha1:abc"},
            "reportingController": "kustomize-controller",
            "reportingInstance": "kustomize-controller-0",
            **changes,
        }
    ).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


async def taken(body: bytes, **client: Any) -> AlertRow:
    config = ClientConfig.model_validate(
        {"name": "mgmt", "clusters": ["edge-*"], "bearer_sha256": TOKEN_SHA256, **client}
    )
    outlet = Recording()
    handler = build({}, wiring("flux", outlet))
    answer = await handler.handle(Received(Client(config), "POST", "/flux", {}, {}, body, 1_795_000_000_000))
    assert answer.status == 200
    (row,) = outlet.rows
    return row  # type: ignore[return-value]


async def test_an_event_of_an_error_fires() -> None:
    row = await taken(event())
    assert (row.cluster, row.sender, row.name, row.status) == ("edge-0042", "flux", "BuildFailed", "firing")
    assert (row.severity, row.message) == ("error", "kustomize build failed")
    assert (row.starts_ms, row.ends_ms) == (1_795_428_000_000, 0)
    labels = row.labelled()
    assert (labels["kind"], labels["namespace"], labels["name"]) == ("Kustomization", "flux-system", "apps")
    assert labels["kustomize.toolkit.fluxcd.io/revision"] == "main@sha1:abc"


@pytest.mark.parametrize("severity", ["info", "trace"])
async def test_any_other_resolves_what_was_said_of_its_object(severity: str) -> None:
    older = {**INVOLVED, "apiVersion": "kustomize.toolkit.fluxcd.io/v1beta2", "resourceVersion": "102"}
    error, fine = await taken(event()), await taken(event(severity=severity, involvedObject=older))
    assert (fine.status, fine.ends_ms) == ("resolved", 1_795_428_000_000)
    assert fine.fingerprint == error.fingerprint


async def test_metadata_cannot_say_that_it_is_about_something_else() -> None:
    row = await taken(event(metadata={"cluster": "edge-0001", "name": "other", "kind": "Node"}))
    assert (row.labelled()["kind"], row.labelled()["name"]) == ("Kustomization", "apps")


async def test_an_event_without_metadata_is_of_the_clients_own_cluster() -> None:
    assert (await taken(event(metadata=None), clusters=(), cluster="edge-7")).cluster == "edge-7"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b'{"a": ' * 50_000, 400, id="deep"),
        pytest.param(event(involvedObject={"kind": "Kustomization"}), 400, id="object-without-name"),
        pytest.param(event(timestamp="now"), 400, id="no-time"),
        pytest.param(event(metadata={"cluster": "edge-1", "x": "y" * 70_000}), 413, id="metadata-too-large"),
    ],
)
async def test_what_is_no_event_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        await taken(body)
    assert refused.value.status == status


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    field=st.sampled_from(("involvedObject", "severity", "timestamp", "message", "reason", "metadata")),
    value=JSON | st.binary(),
)
async def test_whatever_stands_in_a_field_it_is_taken_or_refused(field: str, value: Any) -> None:
    body = event().replace(b"BuildFailed", value, 1) if isinstance(value, bytes) else event(**{field: value})
    refused = 0
    try:
        await taken(body)
    except RefusedError as error:
        refused = error.status
    except NotItsClusterError:
        refused = 403
    assert refused in (0, 400, 403, 413)


@pytest.mark.parametrize("metadata", [None, {"cluster": "core-1"}], ids=["unnamed", "another"])
async def test_an_event_of_a_cluster_that_is_not_the_clients_is_refused(metadata: dict[str, str] | None) -> None:
    with pytest.raises(NotItsClusterError):
        await taken(event(metadata=metadata))
