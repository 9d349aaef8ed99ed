"""What an agent at the edge takes, and what it delivers after it was cut off: `python -m tests.e2e.edge --json`.

One simulated cluster of 500 objects and 50 pods; `abdrift agent` with a spool, which sends by TLS to `abdrift receive`,
which has a real Kafka behind it. First nothing happens but Flux's own reconciles, and the bytes between the two are
counted, both ways, TLS included. Then the gateway is gone while objects are edited, and the agent is killed in between.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import re
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from aiokafka.structs import TopicPartition

from abdrift import frames, provision
from abdrift.broker import EmbeddedBroker
from abdrift.kafka import KafkaSettings, consumer
from abdrift.signals.objects import HeartbeatDetail, Op, decode_detail, rows_of
from abdrift.simulation import FleetSpec, SimulatedFleet
from abdrift.topics import OBJECTS
from tests.parts import pki
from tests.parts.loopback import Ports
from tests.parts.proxy import Proxy
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from abdrift.simulation import SimCluster

TOKEN = "the-agent's-own"
DAY_SECONDS = 86_400
PARTITIONS = 4
AFTER_SECONDS = 600.0


@dataclass(frozen=True)
class Load:
    """How much of everything."""

    workloads: int = 50
    """Each a Deployment, a ConfigMap, a Service and a Pod."""
    objects: int = 350
    """Further ones that Flux applies: ConfigMaps."""
    idle_seconds: float = 300.0
    cut_seconds: float = 120.0
    edits_per_second: float = 2.0
    heartbeat_seconds: float = 60.0
    linger_ms: int = 1_000
    settle_seconds: float = 10.0
    """For the agent to start, and to find its cluster again."""


class Delivered(NamedTuple):
    """A frame in Kafka, and when it came there."""

    frame: frames.Frame
    appended_ms: int


@asynccontextmanager
async def program(*arguments: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `abdrift` with these arguments until left."""
    with log.open("ab") as out:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "abdrift", *arguments, stdout=out, stderr=out, stdin=asyncio.subprocess.DEVNULL
        )
        try:
            yield running
        finally:
            if running.returncode is None:
                running.terminate()
            await running.wait()


class Trial:
    """The parts of a trial, and what it is asked."""

    def __init__(self, load: Load, folder: Path, cluster: SimCluster, kafka: KafkaSettings, proxy: Proxy) -> None:
        self._load = load
        self._folder = folder
        self._kafka = kafka
        self._proxy = proxy
        self.cluster = cluster

    def agent(self) -> Any:
        """Run the agent."""
        return program(
            *("agent", "--cluster", self.cluster.name, "--kubeconfig", str(self._folder / "kubeconfig.yaml")),
            *("--data", str(self._folder / "agent"), "--spool-bytes", str(64 * 1024 * 1024)),
            *("--heartbeat-seconds", str(self._load.heartbeat_seconds), "--linger-ms", str(self._load.linger_ms)),
            *("--gateway", f"https://127.0.0.1:{self._proxy.port}"),
            *("--gateway-token", str(self._folder / "token"), "--gateway-ca", str(self._folder / "pki" / "ca.crt")),
            log=self._folder / "agent.log",
        )

    def gateway(self) -> Any:
        """Run the gateway."""
        return program(
            *("receive", "--config", str(self._folder / "receive.yaml"), "--data", str(self._folder / "receive")),
            *("--kafka", self._kafka.bootstrap_servers),
            log=self._folder / "receive.log",
        )

    async def delivered(self) -> list[Delivered]:
        """Return the frames in Kafka, partition by partition."""
        found = []
        async with consumer(self._kafka) as reading:
            partitions = [TopicPartition(OBJECTS.name, number) for number in range(PARTITIONS)]
            reading.assign(partitions)
            for partition, end in (await reading.end_offsets(partitions)).items():
                while await reading.position(partition) < end:
                    records = (await reading.getmany(partition, timeout_ms=500)).get(partition, ())
                    found += [Delivered(frames.decode(r.value, r.headers), r.timestamp) for r in records]
        return found

    async def is_listed(self) -> bool:
        """Whether Kafka has a whole list of what is edited."""
        rows = (row for each in await self.delivered() for row in rows_of(each.frame.batch))
        return any((row.op, row.kind) == (Op.SYNCED, "ConfigMap") for row in rows)


async def run(load: Load, folder: Path) -> dict[str, Any]:
    """Run a trial and return its figures."""
    async with AsyncExitStack() as parts:
        spec = FleetSpec(clusters=1, workloads=load.workloads, extras=load.objects, pods=True)
        fleet = await parts.enter_async_context(SimulatedFleet(spec))
        (cluster,) = fleet.clusters
        cluster.write_kubeconfig(folder / "kubeconfig.yaml")
        broker = await parts.enter_async_context(EmbeddedBroker(folder / "kafka"))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await provision.create(kafka, partitions=PARTITIONS, replication=1)
        port = _receiving(folder, cluster.name)
        proxy = await parts.enter_async_context(Proxy(port))
        return await _run(Trial(load, folder, cluster, kafka, proxy), load, proxy)


async def _run(trial: Trial, load: Load, proxy: Proxy) -> dict[str, Any]:
    async with AsyncExitStack() as first:
        async with trial.gateway():
            agent = await first.enter_async_context(trial.agent())
            await _seen(trial, load, proxy)
            before = proxy.passed_bytes
            await asyncio.sleep(load.idle_seconds)
            idle_bytes = proxy.passed_bytes - before
            memory = resident(agent.pid)
        made = await edit(trial.cluster, load.edits_per_second, load.cut_seconds / 2)
        agent.kill()
        await agent.wait()
    watching = set(_watches(trial.cluster))
    async with trial.agent() as agent:
        # An edit that the first had not written to its disk is seen by the second's list, until the next edit.
        await until(lambda: _watched_anew(trial.cluster, watching), "the agent watches again", AFTER_SECONDS)
        await asyncio.sleep(load.settle_seconds)
        made += await edit(trial.cluster, load.edits_per_second, load.cut_seconds / 2)
        async with trial.gateway():
            made += await edit(trial.cluster, load.edits_per_second, load.settle_seconds)
            wanted = set(made[-10:])

            async def arrived() -> bool:
                return wanted <= {
                    row.resource_version for each in await trial.delivered() for row in rows_of(each.frame.batch)
                }

            await until(arrived, "what was edited last is in Kafka", AFTER_SECONDS)
            later = resident(agent.pid)
    return {
        "objects": load.objects + 3 * load.workloads,
        "pods": load.workloads,
        "resident_mb": memory["Rss"],
        "anonymous_mb": memory["Anonymous"],
        "resident_after_cut_mb": later["Rss"],
        "idle_bytes_per_day": round(idle_bytes / load.idle_seconds * DAY_SECONDS),
        "cut_seconds": load.cut_seconds,
        **judged(await trial.delivered(), made),
        **staleness(await trial.delivered()),
    }


async def edit(cluster: SimCluster, per_second: float, seconds: float) -> list[str]:
    """Change one ConfigMap after another; return the resourceVersion of each edit."""
    kind, loop = cluster.kind("ConfigMap"), asyncio.get_running_loop()
    store = cluster.api.store
    keys = itertools.cycle(list(store.shelf(kind).objects))
    made, begun = [], loop.time()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
        stored = store.get(kind, next(keys))
        assert stored
        obj = stored.value()
        obj["data"] = {**(obj.get("data") or {}), "edited": str(stored.version)}
        made.append(store.put(kind, obj)["metadata"]["resourceVersion"])
    return made


def _watches(cluster: SimCluster) -> set[asyncio.Event]:
    """Return what wakes the open watches of what is edited: one for each."""
    return cluster.api.store.shelf(cluster.kind("ConfigMap")).wakers


async def _watched_anew(cluster: SimCluster, before: set[asyncio.Event]) -> bool:
    return bool(_watches(cluster) - before)


async def _seen(trial: Trial, load: Load, proxy: Proxy) -> None:
    """Wait until the first lists have been sent."""
    await until(trial.is_listed, "the objects that are edited are listed", AFTER_SECONDS)

    async def quiet() -> bool:
        before = proxy.passed_bytes
        await asyncio.sleep(load.settle_seconds / 4)
        return 0 < before == proxy.passed_bytes

    await until(quiet, "the first lists are sent", AFTER_SECONDS)


def judged(found: list[Delivered], edits: list[str]) -> dict[str, Any]:
    """Return what of the edits came, and whether lanes have holes or were out of order."""
    sequences: dict[tuple[str, int, str], list[int]] = {}
    versions: dict[tuple[str, str, str], list[int]] = {}
    twice = 0
    for frame, _ in found:
        part, rows = frame.parts[0], rows_of(frame.batch)
        seen = sequences.setdefault((part.source, part.epoch, rows[0].cluster), [])
        if part.sequence in seen:
            twice += 1
            continue
        seen.append(part.sequence)
        for row in rows:
            if row.resource_version:
                versions.setdefault((row.kind, row.namespace, row.name), []).append(int(row.resource_version))
    told = {str(version) for each in versions.values() for version in each}
    return {
        "edits": len(edits),
        "edits_missing": len(set(edits) - told),
        "epochs": len(sequences),
        "lanes_with_holes": sum(seen != list(range(len(seen))) for seen in sequences.values()),
        "objects_out_of_order": sum(
            any(later < earlier for earlier, later in itertools.pairwise(each)) for each in versions.values()
        ),
        "frames_twice": twice,
    }


def staleness(found: list[Delivered]) -> dict[str, Any]:
    """Return how late rows came by the times that they bear, and how late heartbeats said that the agent was."""
    late_ms, said_ms, said_bytes = 0, 0, 0
    for frame, appended_ms in found:
        for row in rows_of(frame.batch):
            late_ms = max(late_ms, appended_ms - row.observed_ms)
            if row.op == Op.HEARTBEAT:
                told = decode_detail(row, HeartbeatDetail)
                said_ms, said_bytes = max(said_ms, told.spooled_ms), max(said_bytes, told.spooled_bytes)
    return {
        "latest_row_seconds": round(late_ms / 1000, 1),
        "said_spooled_seconds": round(said_ms / 1000, 1),
        "said_spooled_bytes": said_bytes,
    }


def resident(pid: int) -> dict[str, float]:
    """Return what a process has in memory, in MB of 10^6 bytes: `Rss`, and of it `Anonymous`."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {
        name: round(int(kib) * 1024 / 1e6, 1)
        for name, kib in re.findall(r"^(Rss|Anonymous):\s+(\d+) kB", text, re.MULTILINE)
    }


def _receiving(folder: Path, cluster: str) -> int:
    """Write what the gateway is configured by; return its port."""
    made, port = pki.create(folder / "pki"), Ports().take()
    (folder / "token").write_text(TOKEN)
    client = {"name": "edge", "cluster": cluster, "bearer_sha256": hashlib.sha256(TOKEN.encode()).hexdigest()}
    config = {
        "listen": f"127.0.0.1:{port}",
        "tls": {"certificate": str(made.server_certificate), "key": str(made.server_key)},
        "clients": [client],
        "handlers": {"gateway": {}},
    }
    (folder / "receive.yaml").write_text(yaml.safe_dump(config))
    return port


def main() -> None:
    """Run a trial and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("idle_seconds", "cut_seconds", "heartbeat_seconds"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Load(), name))
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    given = vars(parser.parse_args())
    as_json = given.pop("json")
    with tempfile.TemporaryDirectory(prefix="abdrift-edge-") as folder:
        figures = asyncio.run(run(Load(**given), Path(folder)))
    for line in [json.dumps(figures)] if as_json else [f"{name:22} {value}" for name, value in figures.items()]:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
