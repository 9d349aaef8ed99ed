"""A fleet's signals on a real broker: what one simulated cluster's agent says, said by as many clusters as wanted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from abdrift import frames, kafka, topics
from abdrift.clock import wall_clock_ms
from abdrift.masking import Masker
from abdrift.partitions import partition_of
from abdrift.signals.objects import OBJECTS, Op, columns_of
from abdrift.simulation import FleetSpec, SimulatedFleet
from collectors.kubernetes import Agent, KubernetesConfig
from tests.collectors.recording import Recording
from tests.parts.waiting import WITHIN_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from abdrift.kafka import KafkaSettings
    from abdrift.signals.objects import ObjectRow

CLUSTERS_A_FRAME: Final = 10
_RECONCILE_ROWS: Final = 3
"""An owner's rows of one reconcile: it begins, it applies, it ends."""


async def cluster_rows(folder: Path, workloads: int) -> list[ObjectRow]:
    """Return what an agent says of a cluster with so many workloads: all it lists, and one reconcile of each owner."""
    seen = Recording()
    spec = FleetSpec(
        clusters=1,
        workloads=workloads,
        extras=2,
        bookmark_seconds=0.2,
        source_interval="1h",
        interval="1s",
        rollout_seconds=0.1,
    )
    async with SimulatedFleet(spec) as fleet:
        (cluster,) = fleet.clusters
        kubeconfig = cluster.write_kubeconfig(folder / "kubeconfig")
        config = KubernetesConfig(cluster=cluster.name, kubeconfig=kubeconfig, heartbeat_seconds=300)
        agent = Agent(config, seen, masker=Masker(b"k" * 32), clock=wall_clock_ms, rng=random.Random(1))
        agent.start()
        try:
            await seen.until(lambda row: (row.op, row.kind) == (Op.SYNCED, "ConfigMap"), "ConfigMaps are listed")
            for owner in ("infra", "apps", "extras", "gateway"):
                await _reconciled(seen, owner)
        finally:
            await agent.stop()
    kept: list[ObjectRow] = []
    repeats: Counter[tuple[str, str, str]] = Counter()
    for row in seen.objects:
        repeats[row.op, row.kind, row.name] += 1
        if row.op != Op.MODIFIED or repeats[row.op, row.kind, row.name] <= _RECONCILE_ROWS:
            kept.append(row)
    return kept


async def fill_objects(settings: KafkaSettings, rows: list[ObjectRow], clusters: int, partitions: int) -> None:
    """Have each cluster, `edge-00000` and on, say these rows; a hub's frames hold several of them."""
    by_partition: dict[int, list[str]] = {}
    for number in range(clusters):
        name = f"edge-{number:05d}"
        by_partition.setdefault(partition_of(name, partitions), []).append(name)
    async with kafka.producer(settings) as producer:
        for partition, names in by_partition.items():
            for start in range(0, len(names), CLUSTERS_A_FRAME):
                some = names[start : start + CLUSTERS_A_FRAME]
                said = [msgspec.structs.replace(row, cluster=name) for name in some for row in rows]
                frame = frames.encode(OBJECTS, columns_of(said), ("kubernetes/hub", 1, start))
                await producer.send(topics.OBJECTS.name, frame.value, partition=partition, headers=list(frame.headers))
        await producer.flush()


async def _reconciled(seen: Recording, owner: str) -> None:
    def rows() -> int:
        return sum(row.op == Op.MODIFIED and row.name == owner for row in seen.objects)

    async with asyncio.timeout(WITHIN_SECONDS):
        while rows() < _RECONCILE_ROWS:  # noqa: ASYNC110  the recording tells of rows, not of their number
            await asyncio.sleep(0.02)
