"""Samples and logs through a real broker into health's facts, exact though the worker is killed in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from abdrift import frames, kafka
from abdrift.partitions import partition_of
from abdrift.signals import objects
from abdrift.signals.objects import HeartbeatDetail, ObjectRow, encode_detail
from abdrift.topics import DEAD_LETTERS, FLEET_HEALTH
from streams.preparation import changelog_topic
from tests.streams.bench import eventually
from tests.streams.levels.story import encoded, line, policy, portrait, rule, sample
from tests.streams.levels.worker import health_step, levels_step
from tests.streams.rates import readback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abdrift.broker import EmbeddedBroker
    from abdrift.frames import EncodedFrame
    from abdrift.signals.samples import SampleRow
    from streams.levels.state import State

pytestmark = pytest.mark.parts

ROOT = Path(__file__).parents[3]
FRAMES = 20
WITHIN_SECONDS = 180
STEP_MS = 15_000
RULES = (
    rule("too-deep", threshold=10, severity="failing"),
    rule("requests", selector="requests_total", function="rate(5m)", threshold=1.5, severity="failing"),
    rule("hot", selector="celsius", threshold=90, severity="failing", subject="node"),
    rule("stuck", selector="stuck", threshold=0, severity="failing", subject="cluster"),
)
WANTED = {
    "workload/{}/apps/Deployment/shop/web": {"TooDeep", "Requests", "LogErrors"},
    "node/{}/Node/n1": {"Hot"},
    "cluster/{}": {"Stuck"},
}


class Trial:
    """One cluster, its topics of one partition, and the worker."""

    def __init__(self, broker: EmbeddedBroker, data: Path) -> None:
        self.settings = kafka.KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        self.data = data
        self.prefix = f"l{secrets.token_hex(4)}"
        self.cluster = f"{self.prefix}-edge"
        self.step = levels_step(self.prefix)
        self.now_ms = int(time.time() * 1000)

    async def create_topics(self) -> None:
        own = {topic.name: topic for step in (self.step, health_step(self.prefix)) for topic in step.reads}
        async with kafka.admin(self.settings) as admin:
            await admin.create_topics([NewTopic(t.name, 1, 1, topic_configs=t.config()) for t in own.values()])
            for topic in (DEAD_LETTERS, FLEET_HEALTH):
                with contextlib.suppress(TopicAlreadyExistsError):
                    await admin.create_topics([NewTopic(topic.name, 2, 1, topic_configs=topic.config())])

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        given = {"kafka": self.settings.bootstrap_servers, "prefix": self.prefix, "data_dir": str(self.data)}
        command = [sys.executable, "-m", "tests.streams.levels.worker", json.dumps(given | options)]
        with (self.data / "worker.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    async def send(self, producer: Any, topic: str, made: EncodedFrame, times: int = 1) -> None:
        for _ in range(times):
            await producer.send_and_wait(
                f"{self.prefix}.{topic}", made.value, partition=0, headers=list(made.headers), key=b"s"
            )

    async def declare(self) -> None:
        async with kafka.producer(self.settings) as producer:
            said = policy(*RULES, log_errors={"severity": "failing"}).encode()
            headers = [("content-type", b"application/cloudevents+json")]
            await producer.send_and_wait(
                f"{self.prefix}.abdrift.fleet.policy.v1", said, partition=0, key=b"default", headers=headers
            )
            await self.send(producer, "abdrift.signals.objects.v1", self._objects())

    async def send_all(self) -> None:
        async with kafka.producer(self.settings) as producer:
            for number in range(FRAMES):
                # Every fifth is sent twice, as a source does that missed an acknowledgement.
                times = 1 + (number % 5 == 0)
                lines = [
                    line(cluster=self.cluster, time_ms=self.now_ms - n, severity="error" if n % 2 else "info")
                    for n in range(50)
                ]
                await self.send(
                    producer, "abdrift.signals.samples.v1", encoded(self.samples(number), number, "p"), times
                )
                await self.send(producer, "abdrift.signals.logs.v1", encoded(lines, number, "l"), times)
                await asyncio.sleep(0.05)

    def samples(self, number: int) -> Sequence[SampleRow]:
        """Return one scrape: the oldest first, the last one now."""
        at_ms = self.now_ms - (FRAMES - 1 - number) * STEP_MS
        web = {"namespace": "shop", "pod": "web-5f6d8c7b9d-x2vzq"}
        told = [
            ("depth", web, 12.0),
            ("requests_total", web, number * 30.0),
            ("celsius", {"node": "n1"}, 95.0),
            ("stuck", {}, 1.0),
            ("nobody_asks", web, 1.0),
        ]
        return [
            sample(cluster=self.cluster, metric=metric, labels=labels, value=value, time_ms=at_ms)
            for metric, labels, value in told
        ]

    def _objects(self) -> EncodedFrame:
        detail = HeartbeatDetail(cluster_uid="u1", interval_ms=3_600_000, started_ms=0)
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        web = {"spec": {"replicas": 1}, "status": {"observedGeneration": 1, "availableReplicas": 1}}
        rows = [
            ObjectRow(cluster=self.cluster, op="heartbeat", observed_ms=0, detail=encode_detail(detail)),
            self._object("", "Node", "", "n1", ready),
            self._object("apps", "Deployment", "shop", "web", web),
        ]
        return frames.encode(objects.OBJECTS, objects.columns_of(rows), ("kubernetes", 1, 0))

    def _object(self, group: str, kind: str, namespace: str, name: str, obj: Any) -> ObjectRow:
        about = {"group": group, "version": "v1", "kind": kind, "namespace": namespace, "name": name}
        return ObjectRow(
            cluster=self.cluster, op="listed", uid=name, observed_ms=self.now_ms, object=orjson.dumps(obj), **about
        )

    async def facts(self) -> dict[str, Any]:
        """Return the newest health fact of each of the cluster's resources."""
        found: dict[str, Any] = {}
        async with kafka.admin(self.settings) as admin:
            (told,) = await admin.describe_topics([FLEET_HEALTH.name])
        partition = partition_of(self.cluster, len(told["partitions"]))
        async for one in readback.records(self.settings, FLEET_HEALTH.name, partition):
            if one.value is not None and self.cluster.encode() in one.key:
                found[one.key.decode()] = orjson.loads(one.value)["data"]
        return found

    async def is_told(self) -> bool:
        facts = await self.facts()
        return all(
            codes <= {reason["code"] for reason in facts.get(key.format(self.cluster), {}).get("reasons", ())}
            for key, codes in WANTED.items()
        )

    async def state(self) -> State:
        """Return what the changelog says, with what waits settled."""
        kept, _ = await readback.cells(self.settings, self.step, 0)
        state = self.step.open(kept, 0, 1).state
        state.settle(state.beat + 1)
        return state

    async def is_declared(self) -> bool:
        # Nothing orders the records of two topics: until then, samples concern no rule.
        return await self.has_changelog() and (await self.state()).rules.policy.rules == RULES

    async def has_changelog(self) -> bool:
        async with kafka.admin(self.settings) as admin:
            return changelog_topic(self.step.name) in await admin.list_topics()

    async def is_absorbed(self) -> bool:
        taken = portrait(await self.state())["clusters"].get(self.cluster, (0, 0))
        return all(have >= sent for have, sent in zip(taken, (FRAMES * 5, FRAMES * 50), strict=True))


async def test_levels_reach_health_exactly_though_the_worker_is_killed(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    trial = Trial(kafka, tmp_path)
    await trial.create_topics()
    await trial.declare()
    # The rules are the first batch, samples and lines the next, and when their beat ends the one after that.
    worker = trial.start(signal_at=["staged", 3, signal.SIGKILL])
    try:
        await eventually(trial.is_declared, WITHIN_SECONDS)
        await trial.send_all()
        assert await asyncio.to_thread(worker.wait, WITHIN_SECONDS) == -signal.SIGKILL
        worker = trial.start()
        await eventually(trial.is_absorbed, WITHIN_SECONDS)
        await eventually(trial.is_told, WITHIN_SECONDS)
    finally:
        worker.kill()
        await asyncio.to_thread(worker.wait)
    found = portrait(await trial.state())
    assert found["clusters"] == {trial.cluster: (FRAMES * 5, FRAMES * 50)}
    counted = Counter[str]()
    for errors, lines, _, unusual in found["logs"].values():
        assert unusual
        counted.update(errors=sum(errors.values()), lines=sum(lines.values()))
    assert counted == {"errors": FRAMES * 25, "lines": FRAMES * 50}
    kept = {name: len(samples) for (name, *_), (samples, *_) in found["members"].items()}
    assert kept == {"too-deep": 1, "requests": FRAMES, "hot": 1, "stuck": 1}
    facts = await trial.facts()
    assert [facts[key.format(trial.cluster)]["status"] for key in WANTED] == ["failing"] * 3
