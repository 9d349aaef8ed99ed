from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from abdrift.masking import Masker
from abdrift.signals.objects import CLUSTER, LostDetail, ObjectRow, decode_detail
from abdrift.simulation import FleetSpec, SimulatedFleet
from collectors.kubernetes import KubernetesConfig, run_many
from tests.collectors.recording import RecordingTopic
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

MASKER = Masker(b"k" * 32)


async def test_clusters_share_a_sender_and_one_that_cannot_be_reached_disturbs_none(tmp_path: Path) -> None:
    topic = RecordingTopic()
    async with SimulatedFleet(FleetSpec(clusters=5, workloads=2)) as fleet:
        configs = [
            KubernetesConfig(cluster=each.name, kubeconfig=each.write_kubeconfig(tmp_path / f"{each.name}.yaml"))
            for each in fleet.clusters
        ]
        broken = KubernetesConfig(cluster="broken", kubeconfig=tmp_path / "none.yaml")
        running = asyncio.create_task(run_many([broken, *configs], topic, masker=MASKER, rng=random.Random(1)))

        async def all_synced() -> bool:
            rows = [row for row in topic.rows if isinstance(row, ObjectRow)]
            return len({row.cluster for row in rows if (row.op, row.kind) == ("synced", "ConfigMap")}) == 5

        await until(all_synced, "all five clusters synced")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    told = [row for row in topic.rows if isinstance(row, ObjectRow) and row.cluster == "broken"]
    assert {(row.op, row.group, row.kind) for row in told} == {("lost", *CLUSTER)}
    assert decode_detail(told[0], LostDetail).reason == "no-credentials"
    assert {row.cluster for row in topic.rows} == {"broken", *(config.cluster for config in configs)}


async def test_two_agents_for_one_cluster_are_refused() -> None:
    config = KubernetesConfig(cluster="edge")
    with pytest.raises(ValueError, match="'edge' is configured twice"):
        await run_many([config, config], RecordingTopic(), masker=MASKER)
