"""Flux's real notification-controller signs what it tells `abdrift receive`, which tells a real Kafka."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from abdrift.kafka import KafkaSettings
from tests.collectors.receiving.process import alerts_of, receiver
from tests.collectors.receiving.receiving import TOKEN, TOKEN_SHA256
from tests.parts.guard import Guard
from tests.parts.loopback import Ports
from tests.parts.notification import crds, notification_controller
from tests.parts.waiting import until

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker
    from tests.parts.cluster import Cluster
    from tests.parts.kube_api import KubeApi

pytestmark = pytest.mark.parts

SHIPPED = Path(__file__).parents[3] / "deploy" / "flux"
KEY = "a key that both know"


def shipped(file: str, namespace: str, url: str, name: str, **secret: str) -> list[dict[str, Any]]:
    """Return what a file of deploy/flux makes, in a namespace, under a name, with this test's addresses and secrets."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((SHIPPED / file).read_text()))
    held, provider, alert = documents
    for each in documents:
        each["metadata"] |= {"name": name, "namespace": namespace}
    held["stringData"] = secret
    address = provider["spec"]["address"].replace("https://abdrift.example:8480", url)
    provider["spec"] |= {"address": address.replace("flux-edge-0010", "signer"), "secretRef": {"name": name}}
    alert["spec"] |= {"providerRef": {"name": name}, "eventMetadata": {"cluster": namespace, "by": name}}
    return documents


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
            for each in (
                *shipped("signed.yaml", namespace, running.url, "signs", token=KEY),
                *shipped("signed.yaml", namespace, running.url, "nobody", token="another key"),
                *shipped("token.yaml", namespace, running.url, "token", headers=f"Authorization: Bearer {TOKEN}"),
            ):
                await admin.create(each)
            numbers = itertools.count()

            async def told_by_all() -> bool:
                # It reads its Alerts by a watch: until it knows all of them, an event is told to some only.
                await post(events, event(namespace, f"apps-{next(numbers)}"))
                by = {row.labelled()["by"] for row in told.rows}
                return by == {"signs", "token"} and await running.refused("flux", "unauthenticated") > 0

            await until(told_by_all, "each provider has posted")
    assert {row.labelled()["by"] for row in told.rows} == {"signs", "token"}
    assert {(row.sender, row.name, row.status, row.message) for row in told.rows} == {
        ("flux", "BuildFailed", "firing", "kustomize build failed")
    }


async def post(url: str, body: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as client, client.post(url, json=body) as answer:
        assert answer.status < 300, await answer.text()
