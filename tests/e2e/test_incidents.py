"""A bad revision that reaches many clusters: one incident, one alert, and whose commit it was, within seconds."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import pytest

from abdrift.cli.pipeline import PipelineSpec, running
from abdrift.cli.steering import publish_policy
from abdrift.facts.governance import IncidentThresholds, Policy
from abdrift.fleet import Fleet, Member
from abdrift.simulation import FaultInjector, FaultKind, FleetSpec, SimulatedFleet, plan
from abdrift.topics import FINDING, INCIDENT, INVENTORY
from tests.e2e import shown
from tests.e2e.facts import FactLog, followed
from tests.parts import monitoring
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from abdrift.simulation.plan import Fault
    from tests.parts.elasticsearch import Elasticsearch

pytestmark = [pytest.mark.parts, pytest.mark.timeout(900)]

AUTHOR, MESSAGE = "mallory <mallory@lab>", "Run more proxies"
LOOK_SECONDS = 0.2
"""Between two looks at a view, which share the machine with what they look at."""
ROUTE = {"route": {"receiver": "default"}, "receivers": [{"name": "default"}]}


@dataclass(frozen=True)
class Load:
    """How large the fleet is, how many of its clusters get the revision, and how soon people must know."""

    clusters: int
    early: int
    within_seconds: float = 60.0
    """Of the short form, which shares the machine with others, only that it comes."""


class Scene:
    """A simulated fleet under the whole pipeline, with an Alertmanager that is told."""

    def __init__(self, load: Load, folder: Path) -> None:
        self.spec = FleetSpec(clusters=load.clusters, early=load.early, workloads=3, extras=1)
        self.folder = folder
        self.log = FactLog()
        self.stack = AsyncExitStack()
        self.manager = ""
        self.kafka = ""

    async def __aenter__(self) -> Self:
        fleet = self.fleet = await self.stack.enter_async_context(SimulatedFleet(self.spec))
        self.injector = FaultInjector(fleet)
        kubeconfigs = self.folder / "kubeconfigs"
        kubeconfigs.mkdir()
        members = tuple(
            Member(name=c.name, labels=c.labels, kubeconfig=c.write_kubeconfig(kubeconfigs / c.name, "agent"))
            for c in fleet.clusters
        )
        wanted = PipelineSpec(
            fleet=Fleet(clusters=members),
            data_dir=self.folder / "data",
            act=False,
            partitions=4,  # as the demonstration has
            heartbeat_seconds=30,  # one agent speaks for all clusters, beside the simulator of them
            git_interval_seconds=60,  # the author is asked for when the incident is seen
        )
        pipeline = await self.stack.enter_async_context(running(wanted))
        self.log = await self.stack.enter_async_context(followed(pipeline.kafka))
        policy = Policy(name="default", incidents=IncidentThresholds(quiet_seconds=3))
        await publish_policy(pipeline.kafka, pipeline.keyring, policy)
        self.kafka = pipeline.kafka.bootstrap_servers
        await self._tell_alertmanager(self.kafka)
        await self._until(
            lambda: len({f.subject for f in self.log.of_type(INVENTORY.name)}) == len(members), "all seen"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def _tell_alertmanager(self, kafka: str) -> None:
        ports, guard = Ports(), Guard()
        self.stack.callback(guard.close)
        manager = monitoring.alertmanager(self.folder, ports, guard, ROUTE)
        self.manager = manager.url
        config, metrics = self.folder / "sink.json", f"{HOST}:{ports.take()}"
        config.write_text(json.dumps({"alertmanagers": [{"url": manager.url}]}))
        arguments = ["sink", "alertmanager", "--config", str(config), "--kafka", kafka, "--metrics", metrics]
        argv = [sys.executable, "-m", "abdrift", *arguments]
        sink = Part(Program("sink", argv, self.folder / "sink.log", answers(f"http://{metrics}")), guard)
        for part in (manager.part, sink):
            self.stack.callback(part.stop)
            part.launch()
            await asyncio.to_thread(part.wait_ready)

    async def _until(self, check: Any, what: str) -> None:
        async def holds() -> bool:
            return bool(check())

        await until(holds, what, within_seconds=300)

    async def do(self, kind: FaultKind) -> None:
        """Push to the early branch, and have its clusters fetch within a second."""
        faults: list[Fault] = plan(1, self.spec, 0.01, kinds=[kind])
        ledger = await self.injector.run(faults)
        assert not [entry.error for entry in ledger.entries.values() if entry.error]

    def incidents(self) -> dict[str, Any]:
        """Return the newest of each incident."""
        return {fact.subject: fact.data for fact in self.log.of_type(INCIDENT.name)}

    async def alerts(self) -> list[dict[str, Any]]:
        """Return what Alertmanager knows to fire."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.manager}/api/v2/alerts") as answer:
            found: list[dict[str, Any]] = await answer.json()
        return found

    def first_ms(self, fact_type: str, **wanted: Any) -> int:
        """Return when Kafka took the first fact of a type that says so."""
        return next(f.append_ms for f in self.log.of_type(fact_type) if _says(f.data, wanted))


def _says(data: Any, wanted: dict[str, Any]) -> bool:
    commit = data.get("cause", {}).get("commit") or {}
    return all(value in (data.get(name), commit.get(name)) for name, value in wanted.items())


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(Load(8, 4), id="short"),
        pytest.param(Load(200, 80, within_seconds=5.0), id="whole", marks=pytest.mark.soak),
    ],
)
async def test_a_bad_revision_is_one_incident_and_one_alert_with_its_author(load: Load, tmp_path: Path) -> None:
    async with Scene(load, tmp_path) as scene:
        await scene.do(FaultKind.BAD_REVISION)

        async def told() -> list[dict[str, Any]]:
            said = [one["annotations"] for one in await scene.alerts()]
            return [one for one in said if one["clusters"] == str(load.early) and "author" in one]

        (alert,) = await until(told, f"an alert of {load.early} clusters, with who did it", within_seconds=120)
        told_of = {one["title"]: one for one in scene.incidents().values()}
        assert len(told_of) == 1, list(told_of)
        (incident,) = told_of.values()
        assert (incident["blast_radius"]["clusters"], incident["cause"]["kind"]) == (load.early, "git-revision")
        assert (alert["author"], alert["commit_message"]) == (AUTHOR, MESSAGE)
        assert len(await scene.alerts()) == 1

        symptom_ms = scene.first_ms(FINDING.name, kind="failing")
        seen = {
            "cause": scene.first_ms(INCIDENT.name) - symptom_ms,
            "author": scene.first_ms(INCIDENT.name, author=AUTHOR) - symptom_ms,
            "all": max(f.append_ms for f in scene.log.of_type(INCIDENT.name)) - symptom_ms,
        }
        sys.stdout.write(f"\n{load}: ms from the first symptom on: {seen}\n")
        assert max(seen["cause"], seen["author"]) <= load.within_seconds * 1_000, seen

        await scene.do(FaultKind.REVERTED)

        async def over() -> bool:
            return not await scene.alerts() and {one["state"] for one in scene.incidents().values()} == {"closed"}

        await until(over, "the incident's end", within_seconds=120)
        assert len(scene.incidents()) == 1


@pytest.mark.soak
async def test_every_view_shows_whose_commit_it_was(tmp_path: Path, elasticsearch: Elasticsearch) -> None:
    load = Load(200, 80, within_seconds=5.0)
    async with Scene(load, tmp_path) as scene:
        shows = shown.sinks(scene.folder / "data", scene.kafka, elasticsearch.url)
        exporter, page = await scene.stack.enter_async_context(shows)
        await shown.indexed(scene.kafka)
        client = await scene.stack.enter_async_context(aiohttp.ClientSession())

        async def told_by(url: str) -> bool:
            await asyncio.sleep(LOOK_SECONDS)
            async with client.get(url) as answer:
                return MESSAGE in await answer.text()

        views = {
            "page": f"{page}/api/fleet",
            "Prometheus": f"{exporter}/metrics",
            "Elasticsearch": f"{elasticsearch.url}/abdrift-current-incidents/_search?size=100",
            "Alertmanager": f"{scene.manager}/api/v2/alerts",
        }
        seen_ms: dict[str, float] = {}

        async def watch(name: str, url: str) -> None:
            await until(lambda: told_by(url), f"{name} has the commit's message", within_seconds=120)
            seen_ms[name] = time.time() * 1_000

        watching = [asyncio.create_task(watch(name, url)) for name, url in views.items()]
        await scene.do(FaultKind.BAD_REVISION)
        await asyncio.gather(*watching)
        symptom_ms = scene.first_ms(FINDING.name, kind="failing")
        after_ms = {name: round(at - symptom_ms) for name, at in seen_ms.items()}
        told = await scene.log.until(
            lambda f: f.type == INCIDENT.name and _says(f.data, {"author": AUTHOR}), "the author"
        )
        after_ms["Kafka"] = told.append_ms - symptom_ms
        sys.stdout.write(f"\n{load}: ms from the first symptom until it is seen: {after_ms}\n")
        assert max(after_ms.values()) <= load.within_seconds * 1_000, after_ms
