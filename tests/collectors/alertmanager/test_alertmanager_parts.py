"""A real Alertmanager tells `abdrift receive`, which tells a real Kafka."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from abdrift.kafka import KafkaSettings
from tests.collectors.receiving.process import alerts_of, receiver
from tests.collectors.receiving.receiving import TOKEN, TOKEN_SHA256
from tests.parts import monitoring, programs
from tests.parts.guard import Guard
from tests.parts.loopback import Ports

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts


SHIPPED = Path(__file__).parents[3] / "deploy" / "alertmanager" / "alertmanager.yaml"


def configuration(url: str) -> dict[str, Any]:
    """Return deploy/alertmanager's, with this test's address and token, and in a hurry."""
    shipped: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    (route,) = shipped["route"]["routes"]
    route |= {"group_wait": "0s", "group_interval": "1s"}
    (webhook,) = shipped["receivers"][1]["webhook_configs"]
    webhook["url"] = webhook["url"].replace("https://abdrift.example:8480", url)
    webhook["http_config"] = {"authorization": {"credentials": TOKEN}}
    return shipped


def test_amtool_finds_nothing_wrong_with_what_is_shipped() -> None:
    checked = subprocess.run([programs.find("amtool"), "check-config", SHIPPED], check=False, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


async def post(url: str, cluster: str, **alert: str) -> None:
    """Tell Alertmanager of an alert, as Prometheus does."""
    labels = {"alertname": "WebDown", "cluster": cluster, "namespace": "demo", "deployment": "web"}
    body = [{"labels": labels, "annotations": {"summary": "down"}, **alert}]
    async with aiohttp.ClientSession() as client, client.post(f"{url}/api/v2/alerts", json=body) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.soak  # tests/e2e has one tell Kafka too
async def test_what_fires_and_is_resolved_arrives_once_each(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
    cluster, ports, guard = f"edge-{secrets.token_hex(4)}", Ports(), Guard()
    client = {"name": "am", "clusters": ["edge-*"], "bearer_sha256": TOKEN_SHA256}
    running = receiver(tmp_path, ports, guard, kafka.bootstrap_servers, clients=[client], handlers={"alertmanager": {}})
    manager = monitoring.alertmanager(tmp_path, ports, guard, configuration(running.url))
    async with alerts_of(settings, cluster) as told:
        with ExitStack() as stack:
            stack.callback(guard.close)
            for each in (running.part, manager.part):
                stack.callback(each.stop)
                each.launch()
            for each in (running.part, manager.part):
                await asyncio.to_thread(each.wait_ready)
            began = dt.datetime.now(dt.UTC)
            await post(manager.url, cluster, startsAt=began.isoformat())
            (fires,) = await told.until(1)
            await post(manager.url, cluster, startsAt=began.isoformat(), endsAt=dt.datetime.now(dt.UTC).isoformat())
            await told.until(2)
    fires, resolved = told.rows
    assert (fires.status, resolved.status) == ("firing", "resolved")
    assert fires.fingerprint == resolved.fingerprint
    assert fires.starts_ms == resolved.starts_ms <= resolved.ends_ms
    assert (fires.ends_ms, fires.name, fires.message) == (0, "WebDown", "down")
    assert fires.labelled()["deployment"] == "web"
