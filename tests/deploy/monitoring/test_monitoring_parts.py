"""What a real Prometheus has of a fleet: scraped and written, and enough for every panel of every dashboard."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from deploy.grafana import generate
from tests.deploy.monitoring.scene import Scene, page, running
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.parts

CHOSEN = {"$__rate_interval": "10s", "$cluster": "edge-1"}
"""What takes the place of variables; of all others every value is chosen."""
WITHIN_SECONDS = 120.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running(tmp_path_factory.mktemp("monitoring")) as scene:
        yield scene


async def answered(scene: Scene, promql: str) -> list[dict[str, Any]]:
    """Return what a query finds, once it finds anything."""

    async def found() -> list[dict[str, Any]]:
        return await asyncio.to_thread(scene.query, promql)

    return await until(found, promql, WITHIN_SECONDS)


@pytest.mark.parametrize("job", ["abdrift-exporter", "abdrift"], ids=["scraped", "remote write"])
async def test_a_fleet_is_told_as_its_facts_are(scene: Scene, job: str) -> None:
    async def told() -> bool:
        found = await asyncio.to_thread(scene.query, f'abdrift_cluster_health{{job="{job}"}}')
        health = {one["metric"]["cluster"]: one["value"][1] for one in found}
        return health == {"edge-1": "2", "edge-2": "0", "edge-3": "3"}

    await until(told, "every cluster's health", WITHIN_SECONDS)
    assert page(f"{scene.exporter_url}/healthz") == "all is read\n"


async def test_an_incident_is_one_alert_and_its_series_names_the_cause(scene: Scene) -> None:
    (alert,) = await answered(scene, 'ALERTS{alertname="AbdriftIncident", incident_id="i1"}')
    assert alert["metric"]["cause"] == "main@sha1:bad"
    (found,) = await answered(scene, 'abdrift_incident_open{incident_id="i1", job="abdrift-exporter"}')
    assert found["metric"]["message"] == 'say "no" to limits'


async def test_every_rule_is_evaluated_without_an_error(scene: Scene) -> None:
    async def evaluated() -> list[dict[str, Any]]:
        groups = json.loads(await asyncio.to_thread(page, f"{scene.prometheus_url}/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else []

    await answered(scene, "abdrift:status_clusters")
    rules = await until(evaluated, "every rule is evaluated", WITHIN_SECONDS)
    assert {rule["name"]: rule.get("lastError", "") for rule in rules} == dict.fromkeys((r["name"] for r in rules), "")


@pytest.mark.parametrize("uid", generate.dashboards())
async def test_every_query_of_a_dashboard_returns_data(scene: Scene, uid: str) -> None:
    for title, query in generate.queries(generate.dashboards()[uid]):
        assert await answered(scene, substituted(query)), title


def substituted(query: str) -> str:
    for name, value in CHOSEN.items():
        query = query.replace(name, value)
    for name in ("site", "region", "environment", "step", "source", "incident", "object_kind"):
        query = query.replace(f'"${name}"', '".*"')
    assert "$" not in query, query
    return query


@pytest.fixture
def doubting(tmp_path: Path) -> Iterator[Scene]:
    """A scene whose exporter tells nothing when Kafka was away for five seconds."""
    with running(tmp_path, stale_seconds=5) as scene:
        yield scene


@pytest.mark.soak
async def test_nothing_is_told_of_a_fleet_while_kafka_is_away(doubting: Scene) -> None:
    scene = doubting

    async def doubted() -> bool:
        try:
            return not page(f"{scene.exporter_url}/healthz")
        except urllib.error.HTTPError as error:
            return error.code == 503 and b"all was read last" in error.read()

    async def told() -> bool:
        return "abdrift_cluster_health" in page(f"{scene.exporter_url}/metrics")

    async def untold() -> bool:
        return "abdrift_exporter_caught_up 0.0" in page(f"{scene.exporter_url}/metrics") and not await told()

    await answered(scene, 'abdrift_cluster_health{job="abdrift-exporter"}')
    await asyncio.to_thread(scene.broker.stop)
    await until(doubted, "doubt", WITHIN_SECONDS)
    await until(untold, "nothing told", WITHIN_SECONDS)
    await asyncio.to_thread(scene.broker.start)
    await until(told, "the fleet again", WITHIN_SECONDS)
