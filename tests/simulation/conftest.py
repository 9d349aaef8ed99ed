from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from abdrift.simulation import FleetSpec, SimCluster, SimulatedFleet
from abdrift.simulation.apiserver import MERGE, Options, Target
from abdrift.simulation.objects import Object
from abdrift.simulation.runtime import REQUESTED_AT

START_NS = 1_795_408_400_000_000_000
FLUX = "flux-system"


@pytest.fixture
def fleet() -> SimulatedFleet:
    """One cluster whose time is carried on by hand."""
    built = SimulatedFleet(
        FleetSpec(clusters=1, workloads=3, source_interval="1h", interval="1h"), clock=lambda: START_NS
    )
    built.build()
    return built


@pytest.fixture
def cluster(fleet: SimulatedFleet) -> SimCluster:
    return fleet.clusters[0]


@pytest.fixture
def request_reconcile(fleet: SimulatedFleet, cluster: SimCluster) -> Callable[..., Object]:
    """Annotate a Flux object, let a second pass, and give it back."""

    def ask(kind: str, name: str, at: str = "now", **notes: str) -> Object:
        body = {"metadata": {"annotations": {REQUESTED_AT: at, **notes}}}
        cluster.api.patch(Target(cluster.kind(kind), FLUX, name), MERGE, body, Options("flux"))
        fleet.schedule.advance(1.5)
        return cluster.api.get(cluster.kind(kind), FLUX, name)

    return ask


@pytest.fixture
async def served() -> AsyncIterator[SimulatedFleet]:
    """Two clusters over HTTP, in real time."""
    spec = FleetSpec(clusters=2, workloads=3, bookmark_seconds=0.05, rollout_seconds=0.05)
    async with SimulatedFleet(spec) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as opened:
        yield opened


@pytest.fixture
def headers(served: SimulatedFleet) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.clusters[0].token('admin')}"}


Call = Callable[..., Any]
