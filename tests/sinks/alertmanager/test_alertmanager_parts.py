"""`abdrift sink alertmanager` tells a real Alertmanager what a real Kafka holds."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from abdrift import kafka as clients
from abdrift import provision
from abdrift.clock import to_datetime, wall_clock_ms
from abdrift.facts.incidents import CauseKind, IncidentCause
from abdrift.kafka import KafkaSettings
from abdrift.partitions import FLEET_SCOPE, partition_of
from abdrift.topics import FLEET_INCIDENTS, INCIDENT
from tests.parts import monitoring, programs
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program
from tests.parts.waiting import until
from tests.sinks.alertmanager.incidents import closed, incident

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.broker import EmbeddedBroker
    from abdrift.facts.incidents import Incident

SHIPPED = Path(__file__).parents[3] / "deploy" / "alertmanager" / "incidents.yaml"
PARTITIONS = 4


@pytest.mark.parts
def test_amtool_finds_nothing_wrong_with_what_is_shipped() -> None:
    checked = subprocess.run([programs.find("amtool"), "check-config", SHIPPED], check=False, capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def sink(folder: Path, ports: Ports, guard: Guard, kafka: str, manager: str) -> Part:
    """Return the sink, not started, which tells a manager every second and one that is not there."""
    config = folder / "sink.yaml"
    nobody = {"url": f"http://{HOST}:{ports.take()}"}
    config.write_text(json.dumps({"alertmanagers": [{"url": manager}, nobody], "resend_seconds": 1}))
    metrics = f"{HOST}:{ports.take()}"
    arguments = ["sink", "alertmanager", "--config", str(config), "--kafka", kafka, "--metrics", metrics]
    program = Program(
        "sink", [sys.executable, "-m", "abdrift", *arguments], folder / "sink.log", answers(f"http://{metrics}")
    )
    return Part(program, guard)


class Told:
    """What an Alertmanager knows, and a producer that says more to Kafka."""

    def __init__(self, url: str, tell: Any) -> None:
        self._url = url
        self._tell = tell

    async def say(self, one: Incident) -> None:
        event = INCIDENT.event(one.incident_id, one, event_id=secrets.token_hex(8), source="/tests", at=one.changed_at)
        partition = partition_of(FLEET_SCOPE, PARTITIONS)
        key = one.incident_id.encode()
        await self._tell.send_and_wait(FLEET_INCIDENTS.name, event.encode(), key=key, partition=partition)

    async def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that fire, with these labels."""
        async with aiohttp.ClientSession() as client, client.get(f"{self._url}/api/v2/alerts") as answer:
            found: list[dict[str, Any]] = await answer.json()
        return [one for one in found if labels.items() <= one["labels"].items()]

    async def post(self, **labels: str) -> None:
        """Tell of an alert as Prometheus would."""
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{self._url}/api/v2/alerts", json=[{"labels": labels}]) as answer,
        ):
            assert answer.status == 200, await answer.text()


@asynccontextmanager
async def told(broker: EmbeddedBroker, url: str) -> AsyncIterator[Told]:
    settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
    await provision.create(settings, partitions=PARTITIONS, replication=1)
    async with clients.producer(settings) as producer:
        yield Told(url, producer)


@pytest.mark.parts
async def test_an_incident_is_one_alert_that_inhibits_what_it_explains_until_it_closes(
    kafka: EmbeddedBroker, tmp_path: Path
) -> None:
    ports, guard = Ports(), Guard()
    site, name = f"site-{secrets.token_hex(4)}", secrets.token_hex(8)
    shipped: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    manager = monitoring.alertmanager(tmp_path, ports, guard, shipped)
    running = sink(tmp_path, ports, guard, kafka.bootstrap_servers, manager.url)
    cause = IncidentCause(kind=CauseKind.SITE, name=site)
    began = to_datetime(wall_clock_ms())
    with ExitStack() as stack:
        stack.callback(guard.close)
        async with told(kafka, manager.url) as known:
            for part in (manager.part, running):
                stack.callback(part.stop)
                part.launch()
            for part in (manager.part, running):
                await asyncio.to_thread(part.wait_ready)
            await known.post(alertname="WebDown", site=site)
            for clusters in (2, 80):
                await known.say(incident(name, cause=cause, clusters=clusters, opened_at=began))

            async def grown() -> list[dict[str, Any]]:
                return [one for one in await known.alerts(cause=site) if one["annotations"]["clusters"] == "80"]

            (alert,) = await until(grown, "the incident with its 80 clusters")
            assert alert["labels"]["alertname"] == "AbdriftIncident"

            async def inhibited() -> bool:
                (other,) = await known.alerts(alertname="WebDown", site=site)
                return bool(other["status"]["inhibitedBy"])

            await until(inhibited, "what the incident explains is quiet")
            # An alert that nobody told again would be over by then.
            ends = alert["endsAt"]
            await until(lambda: _moved(known, site, ends), "the alert is told again")
            manager.part.stop()
            manager.part.launch()
            await asyncio.to_thread(manager.part.wait_ready)
            await until(lambda: known.alerts(cause=site), "a manager that was away is told what holds")
            await known.say(closed(wall_clock_ms(), incident_id=name, cause=cause, clusters=80, opened_at=began))

            async def over() -> bool:
                return not await known.alerts(cause=site)

            await until(over, "the alert's end")


async def _moved(known: Told, site: str, ends: str) -> bool:
    return any(one["endsAt"] > ends for one in await known.alerts(cause=site))
