"""Flux's real notification-controller signs what it tells `abdrift receive`, which tells a real Kafka."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from abdrift.kafka import KafkaSettings
from tests.collectors.receiving.process import alerts_of, receiver
from tests.collectors.receiving.receiving import TOKEN, TOKEN_SHA256
from tests.parts.guard import Guard
from tests.parts.loopback import Ports
from tests.parts.notification import crds, notification_controller
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker
    from tests.parts.cluster import Cluster
    from tests.parts.kube_api import KubeApi

pytestmark = pytest.mark.parts

API = "notification.toolkit.fluxcd.io/v1beta3"
KEY = "a key that both know"


def named(kind: str, name: str, namespace: str, api: str = API, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


def objects(namespace: str, url: str, client: str, cluster: str) -> list[dict[str, Any]]:
    """As deploy/flux has them: one provider that signs, one with a token, one that is nobody."""
    signs = {"type": "generic-hmac", "address": f"{url}/flux?client={client}", "secretRef": {"name": "signs"}}
    token = {"type": "generic", "address": f"{url}/flux", "secretRef": {"name": "token"}}
    nobody = {"type": "generic-hmac", "address": f"{url}/flux?client={client}", "secretRef": {"name": "nobody"}}
    made = [
        named("Secret", "signs", namespace, "v1", stringData={"token": KEY}),
        named("Secret", "nobody", namespace, "v1", stringData={"token": "another key"}),
        named("Secret", "token", namespace, "v1", stringData={"headers": f"Authorization: Bearer {TOKEN}"}),
    ]
    for name, provider in (("signs", signs), ("token", token), ("nobody", nobody)):
        made.append(named("Provider", name, namespace, spec=provider))
        alert = {
            "providerRef": {"name": name},
            "eventSeverity": "info",
            "eventSources": [{"kind": "Kustomization", "name": "*"}],
            "eventMetadata": {"cluster": cluster, "by": name},
        }
        made.append(named("Alert", name, namespace, spec=alert))
    return made


def event(namespace: str, name: str) -> dict[str, Any]:
    """What kustomize-controller sends to notification-controller."""
    involved = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization"}
    return {
        "involvedObject": {**involved, "name": name, "namespace": namespace},
        "severity": "error",
        "timestamp": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "message": "kustomize build failed",
        "reason": "BuildFailed",
        "reportingController": "kustomize-controller",
    }


async def test_what_is_signed_or_has_a_token_arrives_and_nothing_else(
    kafka: EmbeddedBroker, cluster: Cluster, admin: KubeApi, namespace: str, tmp_path: Path
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    (tmp_path / "key").write_text(KEY)
    known = [
        {"name": "signer", "clusters": [namespace], "hmac_key_file": str(tmp_path / "key")},
        {"name": "bearer", "clusters": [namespace], "bearer_sha256": TOKEN_SHA256},
    ]
    guard = Guard()
    running = receiver(tmp_path, Ports(), guard, kafka.bootstrap_servers, clients=known, handlers={"flux": {}})
    await admin.apply_yaml(crds())
    async with alerts_of(settings, namespace) as told:
        with ExitStack() as stack:
            stack.callback(guard.close)
            stack.callback(running.part.stop)
            running.part.launch()
            events = await asyncio.to_thread(stack.enter_context, notification_controller(cluster, tmp_path))
            await asyncio.to_thread(running.part.wait_ready)
            for each in objects(namespace, running.url, "signer", namespace):
                await admin.create(each)
            numbers = itertools.count()

            async def told_by_all() -> bool:
                # It reads its Alerts by a watch: until it knows all of them, an event is told to some only.
                await post(events, event(namespace, f"apps-{next(numbers)}"))
                by = {row.labelled()["by"] for row in told.rows}
                return by == {"signs", "token"} and await running.refused("flux", "unauthenticated") > 0

            await until(told_by_all, "each provider has posted", 60)
    assert {row.labelled()["by"] for row in told.rows} == {"signs", "token"}
    assert {(row.sender, row.name, row.status, row.message) for row in told.rows} == {
        ("flux", "BuildFailed", "firing", "kustomize build failed")
    }


async def post(url: str, body: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as client, client.post(url, json=body) as answer:
        assert answer.status < 300, await answer.text()
