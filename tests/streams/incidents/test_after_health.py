"""A bad image on a simulated fleet: from what agents see to the incident, by way of the health and reduce steps."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from abdrift import frames
from abdrift.clock import wall_clock_ms
from abdrift.masking import Masker
from abdrift.signals.objects import OBJECTS, ObjectRow, columns_of
from abdrift.simulation import FaultInjector, FaultKind, FleetSpec, SimCluster, SimulatedFleet, plan
from collectors.kubernetes import Agent, KubernetesConfig
from streams.health import HealthStep
from streams.incidents import IncidentsStep
from streams.reduce import ReduceStep
from streams.step import Batch, Input, Step
from tests.collectors.recording import Recording
from tests.streams.incidents.world import World, trusted

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from streams.step import Outgoing

SPEC = FleetSpec(clusters=3, workloads=1, extras=1, early=2, rollout_seconds=0.05)


class Chain:
    """A step with its state."""

    def __init__(self, step: Step[Any]) -> None:
        self.step = step
        self.cells: dict[str, Any] = {}

    def feed(self, record: Input) -> list[Outgoing]:
        result = self.step.process(self.cells, Batch(0, 1, [record]))
        self.cells = {key: cell for key, cell in {**self.cells, **result.cells}.items() if cell is not None}
        assert not result.refused
        return list(result.facts)


async def watched(stack: AsyncExitStack, cluster: SimCluster, folder: Path) -> Recording:
    """Return what an agent says of a cluster from now on; by now it has listed what there is."""
    seen = Recording()
    kubeconfig = cluster.write_kubeconfig(folder / cluster.name)
    config = KubernetesConfig(cluster=cluster.name, kubeconfig=kubeconfig, heartbeat_seconds=1)
    agent = Agent(config, seen, masker=Masker(b"k" * 32), clock=wall_clock_ms, rng=random.Random(1))
    agent.start()
    stack.push_async_callback(agent.stop)
    await seen.until(lambda row: (row.op, row.kind) == ("synced", "Deployment"), "Deployments are listed")
    return seen


def gave_up(row: ObjectRow) -> bool:
    return row.name == "proxy" and b"ProgressDeadlineExceeded" in row.object


async def bad_image_seen(folder: Path) -> tuple[list[ObjectRow], str]:
    """Return what agents saw of a fleet that a bad image came to, and the commit."""
    async with SimulatedFleet(SPEC) as fleet, AsyncExitStack() as stack:
        seen = [await watched(stack, cluster, folder) for cluster in fleet.clusters]
        ledger = await FaultInjector(fleet).run(plan(1, SPEC, 0.01, kinds=[FaultKind.BAD_IMAGE]))
        for each in seen[: SPEC.early]:
            await each.until(gave_up, "a rollout is given up")
    (sha,) = set(ledger.commits.values())
    return sorted((row for each in seen for row in each.objects), key=lambda row: row.observed_ms), sha


async def test_a_bad_image_is_one_incident_of_its_commit(tmp_path: Path) -> None:
    rows, sha = await bad_image_seen(tmp_path)
    health, reduced, world = Chain(HealthStep()), Chain(ReduceStep()), World()
    for offset, row in enumerate(rows):
        frame = frames.encode(OBJECTS, columns_of([row]), (f"kubernetes/{row.cluster}", 1, offset))
        decoded = frames.decode(frame.value, frame.headers)
        for fact in health.feed(Input("abdrift.signals.objects.v1", 0, offset, row.observed_ms, frame=decoded)):
            told = Input(fact.topic.name, 0, offset, row.observed_ms, fact.key, None, fact.event, fact.event is None)
            for one in reduced.feed(told):
                world.now_ms = row.observed_ms
                world.absorb(IncidentsStep(trusted).process(world.cells, Batch(0, 1, [world.record(one.event)])))
    incident = world.wait(2).only()
    assert (incident.cause.kind, incident.cause.name) == ("git-revision", f"early@sha1:{sha}")
    assert {member.cluster.name for member in incident.members} == set(SPEC.early_names())
    assert {member.object.name for member in incident.members if member.object} == {"proxy"}
    assert not world.refused
