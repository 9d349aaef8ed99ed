"""A hub on simulated clusters that come, change, fall sick and go."""

from __future__ import annotations

import asyncio
import base64
import random
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from abdrift.masking import Masker
from abdrift.partitions import partition_of
from abdrift.signals.objects import CLUSTER, ObjectRow
from abdrift.simulation import FleetSpec, SimulatedFleet
from collectors.hub import Hub, HubConfig
from collectors.hub.cluster_api import ClusterApi
from collectors.hub.directory import Directory
from collectors.hub.flux import FluxRemotes
from collectors.hub.management import Management
from collectors.kubernetes.config import KubernetesConfig
from tests.collectors.recording import RecordingTopic
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from abdrift.simulation import SimCluster
    from collectors.hub import Membership, Source


@pytest.fixture
async def fleet() -> AsyncIterator[SimulatedFleet]:
    async with SimulatedFleet(FleetSpec(clusters=4, workloads=1, extras=1, flux=False)) as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfigs"
    path.mkdir()
    return path


class Running:
    """A hub at work, and what it sent."""

    def __init__(self, hub: Hub, topic: RecordingTopic) -> None:
        self.hub = hub
        self.topic = topic

    def states(self) -> dict[str, str]:
        return {each["cluster"]: each["state"] for each in self.hub.status()["clusters"]}

    async def becomes(self, states: dict[str, str]) -> None:
        async def so() -> bool:
            return self.states() == states

        try:
            await until(so, f"the states are {states}")
        except AssertionError:
            raise AssertionError(self.hub.status()) from None

    def epochs(self, cluster: str) -> set[int]:
        return {
            part.epoch for _, _, frame in self.topic.frames for part in frame.parts if part.source.endswith(cluster)
        }


@asynccontextmanager
async def hub(*sources: Source, membership: Membership | None = None, **settings: Any) -> AsyncIterator[Running]:
    given = {"heartbeat_seconds": 0.3, "lost_after_seconds": 0.5, "stagger_seconds": 0, **settings}
    config, topic = HubConfig(**given), RecordingTopic()
    made = Hub(
        config,
        topic,
        masker=Masker(b"k" * 32),
        framing=config.framing(8),
        membership=membership,
        rng=random.Random(1),
    )
    task = asyncio.create_task(made.run(sources))
    try:
        yield Running(made, topic)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def secret(cluster: SimCluster, namespace: str = "shop", **changes: Any) -> dict[str, Any]:
    text = yaml.safe_dump(cluster.kubeconfig())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{cluster.name}-kubeconfig",
            "namespace": namespace,
            "labels": {"cluster.x-k8s.io/cluster-name": cluster.name},
        },
        "type": "cluster.x-k8s.io/secret",
        "data": {"value": base64.b64encode(text.encode()).decode()},
        **changes,
    }


async def test_clusters_of_a_folder_come_change_and_go(fleet: SimulatedFleet, folder: Path) -> None:
    one, two, *_ = fleet.clusters
    one.write_kubeconfig(folder / "one.yaml")
    (folder / ".hidden").write_text("not read")
    async with hub(Directory(folder, poll_seconds=0.05)) as running:
        await running.becomes({"one": "seen"})
        two.write_kubeconfig(folder / "two.kubeconfig")
        await running.becomes({"one": "seen", "two": "seen"})
        two.switches.expired_users.add("admin")
        await running.becomes({"one": "seen", "two": "unauthorized"})
        two.write_kubeconfig(folder / "two.kubeconfig", user="alice")
        await running.becomes({"one": "seen", "two": "seen"})
        assert len(running.epochs("two")) == 1, "renewed credentials start no new agent"
        (folder / "one.yaml").unlink()
        await running.becomes({"two": "seen"})


async def test_a_cluster_at_another_address_is_looked_at_anew(fleet: SimulatedFleet, folder: Path) -> None:
    one, two, *_ = fleet.clusters
    one.write_kubeconfig(folder / "edge.yaml")
    async with hub(Directory(folder, poll_seconds=0.05), restart_initial_seconds=0.01) as running:
        await running.becomes({"edge": "seen"})
        two.write_kubeconfig(folder / "edge.yaml")

        async def anew() -> bool:
            return len(running.epochs("edge")) == 2

        await until(anew, "a second epoch")


async def test_what_can_not_be_reached_is_said_and_disturbs_none(fleet: SimulatedFleet, folder: Path) -> None:
    well, silent, *_ = fleet.clusters
    well.write_kubeconfig(folder / "well.yaml")
    silent.write_kubeconfig(folder / "silent.yaml")
    (folder / "broken.yaml").write_text("{")
    silent.switches.silent = True
    async with hub(Directory(folder)) as running:

        async def said() -> bool:
            states = defaultdict(str, running.states())
            rows = [row for row in running.topic.rows if isinstance(row, ObjectRow)]
            lost = {row.cluster for row in rows if (row.op, row.group, row.kind) == ("lost", *CLUSTER)}
            return (states["well"], states["broken"], lost) == ("seen", "no-credentials", {"broken"})

        await until(said, "the one that is well is seen, and the broken one lost")
        assert running.states()["silent"] != "seen"


async def test_cluster_apis_secrets_come_and_go_and_others_are_passed_over(fleet: SimulatedFleet, folder: Path) -> None:
    management, one, two, other = fleet.clusters
    reach = KubernetesConfig(cluster="management", kubeconfig=management.write_kubeconfig(folder / "m"))
    certificates = secret(other)
    certificates["metadata"]["name"] = f"{other.name}-ca"
    management.create([secret(one), certificates])
    async with Management(reach) as api, hub(ClusterApi(api)) as running:
        await running.becomes({one.name: "seen"})
        management.create([secret(two)])
        await running.becomes({one.name: "seen", two.name: "seen"})
        management.create([secret(one, namespace="radio")])

        async def conflict() -> bool:
            return bool(running.hub.status()["refused"])

        await until(conflict, "the second of that name is refused")
        kind = management.kind("Secret")
        management.api.store.remove(kind, ("shop", f"{one.name}-kubeconfig"))
        management.api.store.remove(kind, ("radio", f"{one.name}-kubeconfig"))
        await running.becomes({two.name: "seen"})
    assert one.token() not in str(running.hub.status())


async def test_flux_remotes_are_watched_as_long_as_somebody_names_them(fleet: SimulatedFleet, folder: Path) -> None:
    management, one, *_ = fleet.clusters
    reach = KubernetesConfig(cluster="management", kubeconfig=management.write_kubeconfig(folder / "m"))
    data = {"value.yaml": secret(one)["data"]["value"]}
    management.create([secret(one, data=data, type="Opaque")])
    owner = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "remote", "namespace": "shop"},
        "spec": {"kubeConfig": {"secretRef": {"name": f"{one.name}-kubeconfig"}}},
    }
    management.create([owner])
    async with Management(reach) as api, hub(FluxRemotes(api)) as running:
        await running.becomes({one.name: "seen"})
        management.api.store.remove(management.kind("Kustomization"), ("shop", "remote"))
        await running.becomes({})


class Half:
    """Owns the clusters of some partitions."""

    def __init__(self, *mine: int) -> None:
        self.changed = asyncio.Event()
        self.mine = mine

    def owns(self, cluster: str) -> bool:
        return partition_of(cluster, 8) in self.mine

    def own(self, *mine: int) -> None:
        self.mine = mine
        self.changed.set()

    async def run(self) -> None:
        await asyncio.Event().wait()


async def test_what_another_hub_owns_is_left_to_it(fleet: SimulatedFleet, folder: Path) -> None:
    names = [cluster.name for cluster in fleet.clusters]
    for cluster in fleet.clusters:
        cluster.write_kubeconfig(folder / f"{cluster.name}.yaml")
    place = partition_of(names[0], 8)
    membership = Half(place)
    async with hub(Directory(folder), membership=membership) as running:
        await running.becomes({name: "seen" if partition_of(name, 8) == place else "elsewhere" for name in names})
        membership.own()
        await running.becomes(dict.fromkeys(names, "elsewhere"))
        membership.own(*range(8))
        await running.becomes(dict.fromkeys(names, "seen"))
