"""A fleet's facts in a real Kafka, the exporter and workers beside it, and a real Prometheus that scrapes them all.

What would take too long to run (agents, receivers, the GitOps sink) is stood in for by its own metrics, with a value
each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from abdrift import provision
from abdrift.broker import EmbeddedBroker
from abdrift.clock import wall_clock_ms
from abdrift.kafka import KafkaSettings, environment_name, producer
from tests.deploy.monitoring import stages
from tests.parts import monitoring
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program
from tests.sinks.prometheus.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from abdrift.latest import Change

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy" / "prometheus"
_EVERY = "1s"


@dataclass(frozen=True)
class Scene:
    """What runs."""

    kafka: KafkaSettings
    broker: EmbeddedBroker
    exporter_url: str
    prometheus_url: str

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the series that a query is answered with now. Raises `urllib.error.HTTPError` where it is none."""
        asked = f"{self.prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        found: list[dict[str, Any]] = json.loads(page(asked))["data"]["result"]
        return found

    def say(self, changes: Sequence[Change]) -> None:
        """Write facts to their topics."""
        asyncio.run(_say(self.kafka, changes))


def page(url: str) -> str:
    """Return what is served at an address. Raises `urllib.error.HTTPError` unless it is there."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@contextmanager
def running(folder: Path, *, stale_seconds: float = 60) -> Iterator[Scene]:
    """Run the scene until left, with an exporter that tells nothing when Kafka was away for so long."""
    ports = Ports()
    at = {name: ports.take() for name in ("exporter", "worker", "stages")}
    with ExitStack() as stack:
        stack.callback((guard := Guard()).close)
        stack.callback((broker := EmbeddedBroker(folder / "broker")).stop)
        broker.start()
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        asyncio.run(_provide(kafka))
        prometheus = monitoring.prometheus(folder, ports, guard, _config(at), "--web.enable-remote-write-receiver")
        write = ("--remote-write", f"{prometheus.url}/api/v1/write", "--remote-write-interval-seconds", "1")
        listen = f"{HOST}:{at['exporter']}"
        options = ("--listen", listen, "--stale-seconds", str(stale_seconds), *write)
        exporter = _abdrift("exporter", folder, guard, kafka, listen, "sink", "prometheus", *options)
        listen = f"{HOST}:{at['worker']}"
        kept = ("--data", str(folder / "worker"), "--keys", str(folder / "keys"))
        worker = _abdrift("worker", folder, guard, kafka, listen, "worker", "--metrics", listen, *kept)
        parts = [prometheus.part, exporter, worker, _stages(folder, guard, at["stages"])]
        for part in parts:
            stack.callback(part.stop)
            part.launch()
        for part in parts:
            part.wait_ready()
        scene = Scene(kafka, broker, f"http://{HOST}:{at['exporter']}", prometheus.url)
        scene.say(Fleet(wall_clock_ms()).story())
        yield scene


def _abdrift(name: str, folder: Path, guard: Guard, kafka: KafkaSettings, listen: str, *arguments: str) -> Part:
    argv = [sys.executable, "-m", "abdrift", *arguments]
    environment = {environment_name("bootstrap_servers"): kafka.bootstrap_servers}
    return Part(
        Program(name, argv, folder / f"{name}.log", answers(f"http://{listen}/metrics"), environment=environment), guard
    )


def _stages(folder: Path, guard: Guard, port: int) -> Part:
    argv = [sys.executable, "-m", stages.__name__, HOST, str(port)]
    ready = answers(f"http://{HOST}:{port}/metrics")
    return Part(Program("stages", argv, folder / "stages.log", ready, environment={"PYTHONPATH": str(ROOT)}), guard)


def _config(at: dict[str, int]) -> dict[str, Any]:
    """Return the configuration of `deploy/prometheus`, with the scene's targets."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())
    where = {"abdrift-exporter": "exporter", "abdrift-worker": "worker"}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"{HOST}:{at[where.get(job['job_name'], 'stages')]}"]}]
    rules = [str(file) for file in sorted((DEPLOY / "rules").glob("*.yaml"))]
    every = {"scrape_interval": _EVERY, "scrape_timeout": _EVERY, "evaluation_interval": _EVERY}
    return {"global": every, "scrape_configs": config["scrape_configs"], "rule_files": rules}


async def _provide(kafka: KafkaSettings) -> None:
    await provision.create(kafka, partitions=2, replication=1)


async def _say(kafka: KafkaSettings, changes: Sequence[Change]) -> None:
    async with producer(kafka) as client:
        for change in changes:
            await client.send_and_wait(change.topic, change.value, change.key.encode(), partition=0)
