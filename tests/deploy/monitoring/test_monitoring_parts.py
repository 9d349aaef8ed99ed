"""What a real Prometheus has of a fleet: scraped and written, and enough for every panel of every dashboard."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from deploy.grafana import generate
from tests.deploy.monitoring.scene import Scene, page, running
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.parts

CHOSEN = {"$__rate_interval": "10s", "$cluster": "edge-1"}
"""What takes the place of variables; of all others every value is chosen."""
WITHIN_SECONDS = 60.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running(tmp_path_factory.mktemp("monitoring")) as scene:
        yield scene


async def answered(scene: Scene, promql: str) -> list[dict[str, Any]]:
    """Return what a query finds, once it finds anything."""

    async def found() -> list[dict[str, Any]]:
        return await asyncio.to_thread(scene.query, promql)

    return await until(found, promql, WITHIN_SECONDS)


async def test_a_fleet_is_scraped_and_written_alike(scene: Scene) -> None:
    for job in ("abdrift-exporter", "abdrift"):  # scraped, and by remote write
        found = await answered(scene, f'abdrift_cluster_health{{job="{job}"}}')
        health = {one["metric"]["cluster"]: one["value"][1] for one in found}
        assert health == {"edge-1": "2", "edge-2": "0", "edge-3": "3"}
    assert page(f"{scene.exporter_url}/healthz") == "all is read\n"


async def test_an_incident_names_its_cause_in_one_series_and_is_one_alert(scene: Scene) -> None:
    found = await answered(scene, 'ALERTS{alertname="AbdriftIncident", incident_id="i1"}')
    assert [one["metric"]["message"] for one in found] == ['say "no" to limits']


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
