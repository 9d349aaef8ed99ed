"""What engine tests share: topics of their own, worker processes, numbered events, and the oracle over the facts."""

import asyncio
import contextlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from abdrift import kafka, topics
from abdrift.cloudevents import CloudEvent
from abdrift.partitions import partition_of
from streams.preparation import changelog_topic
from streams.step import Cause, Publication, publish
from tests.streams.counting import Counting

PARTITIONS = 4
ROOT = Path(__file__).parents[2]
WITHIN_SECONDS = 120.0
"""What anything may take that a test waits for, on a machine that does much else."""
LOG_TAIL_BYTES = 4_000


@dataclass
class Bench:
    """One test's topics on a real broker, and what was sent to them."""

    settings: kafka.KafkaSettings
    data: Path
    prefix: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")
    sent: dict[str, list[tuple[Cause, int]]] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def step(self) -> Counting:
        return Counting(self.prefix)

    async def create_topics(self) -> None:
        step = self.step
        wanted = [NewTopic(t.name, PARTITIONS, 1, topic_configs=t.config()) for t in (step.input, step.output)]
        letters = NewTopic(topics.DEAD_LETTERS.name, PARTITIONS, 1, topic_configs=topics.DEAD_LETTERS.config())
        async with kafka.admin(self.settings) as admin:
            await admin.create_topics(wanted)
            with contextlib.suppress(TopicAlreadyExistsError):
                await admin.create_topics([letters])

    def start(self, name: str = "A", **options: Any) -> subprocess.Popen[bytes]:
        given = {"kafka": self.settings.bootstrap_servers, "prefix": self.prefix, "data_dir": str(self.data / name)}
        command = [sys.executable, "-m", "tests.streams.counting", json.dumps(given | options)]
        with (self.data / f"{name}.log").open("ab") as log:
            worker = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def end(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
                worker.wait()

    def log(self, name: str = "A") -> str:
        return (self.data / f"{name}.log").read_text()

    def logs(self) -> str:
        """Return the ends of the workers' logs, for a failed test's message."""
        tails = ((path.name, path.read_bytes()[-LOG_TAIL_BYTES:].decode()) for path in sorted(self.data.glob("*.log")))
        return "\n".join(f"--- {name}\n{tail}" for name, tail in tails)

    async def send(self, numbers: range, clusters: int = 8, **data: Any) -> None:
        """Send one event a number, spread over clusters, and remember them for the oracle."""
        async with kafka.producer(self.settings) as producer:
            for number in numbers:
                cluster = f"c{number % clusters}"
                value = _event(cluster, {"n": number, **data})
                partition = partition_of(cluster, PARTITIONS)
                got = await producer.send_and_wait(self.step.input.name, value, partition=partition)
                self.sent.setdefault(cluster, []).append((Cause(got.topic, got.partition, got.offset), number))

    @contextlib.asynccontextmanager
    async def sending(self, cluster: str) -> AsyncIterator[None]:
        """Send one cluster's events meanwhile, twenty a second at most. The oracle is not told."""
        async with kafka.producer(self.settings) as producer:

            async def send() -> None:
                while True:
                    partition = partition_of(cluster, PARTITIONS)
                    await producer.send_and_wait(self.step.input.name, _event(cluster, {"n": 1}), partition=partition)
                    await asyncio.sleep(0.05)

            task = asyncio.create_task(send())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def send_raw(self, cluster: str, value: bytes | None, key: bytes | None = None) -> int:
        """Send what is no number; return its offset."""
        async with kafka.producer(self.settings) as producer:
            partition = partition_of(cluster, PARTITIONS)
            sent = await producer.send_and_wait(self.step.input.name, value, key=key, partition=partition)
            return int(sent.offset)

    async def records(self, topic: str) -> list[Any]:
        """Return everything on a topic."""
        found: list[Any] = []
        async with kafka.consumer(self.settings, topic) as consumer:
            while not consumer.assignment():  # noqa: ASYNC110  aiokafka tells nobody
                await asyncio.sleep(0.02)
            ends = await consumer.end_offsets(consumer.assignment())
            for tp, end in ends.items():
                while await consumer.position(tp) < end:
                    found += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        return found

    async def committed(self) -> dict[int, int]:
        """Return the group's committed offset by partition of the input."""
        async with kafka.admin(self.settings) as admin:
            found = await admin.list_consumer_group_offsets(f"abdrift-{self.step.name}")
        return {tp.partition: meta.offset for tp, meta in found.items() if tp.topic == self.step.input.name}

    async def until_counted(self, timeout_seconds: float = WITHIN_SECONDS) -> None:
        """Wait until every event sent has its fact."""
        expected = {self._fact(cluster, cause, number) for cluster, sent in self.sent.items() for cause, number in sent}

        async def all_there() -> bool:
            return expected <= {json.loads(r.value)["id"] for r in await self.records(self.step.output.name)}

        try:
            await eventually(all_there, timeout_seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    async def check(self) -> list[Any]:
        """Hold the facts against what was sent: each once, whatever was repeated being the same to the byte."""
        facts = await self.records(self.step.output.name)
        by_id: dict[str, bytes] = {}
        for record in facts:
            event = json.loads(record.value)
            assert by_id.setdefault(event["id"], record.value) == record.value, "a repeat that differs"
            assert record.partition == partition_of(event["cluster"], PARTITIONS)
            assert ("content-type", b"application/cloudevents+json; charset=UTF-8") in record.headers
        counted: dict[str, list[tuple[int, int]]] = {}
        for value in by_id.values():
            event = json.loads(value)
            counted.setdefault(event["cluster"], []).append((event["data"]["events"], event["data"]["total"]))
        expected_ids = {self._fact(c, cause, number) for c, sent in self.sent.items() for cause, number in sent}
        assert set(by_id) == expected_ids
        for cluster, sent in self.sent.items():
            totals, total = [], 0
            for index, (_, number) in enumerate(sent, 1):
                total += number
                totals.append((index, total))
            assert sorted(counted[cluster]) == totals
        return facts

    async def changelog(self) -> list[Any]:
        return await self.records(changelog_topic(self.step.name))

    def _fact(self, cluster: str, cause: Cause, number: int) -> str:
        about = Publication(self.step.output, topics.DECISION, f"{cluster}/{number}", "", cause, 0, cluster)
        said = publish(about, {}).event
        assert said is not None
        return said.id


def event_bytes(cluster: str, data: dict[str, Any]) -> bytes:
    return _event(cluster, data)


def _event(cluster: str, data: dict[str, Any]) -> bytes:
    return CloudEvent(
        id=secrets.token_hex(8),
        source="/tests",
        type=topics.OUTCOME.name,
        subject=cluster,
        time="2026-01-01T00:00:00.000Z",
        cluster=cluster,
        data=data,
    ).encode()


async def eventually(holds: Callable[[], Awaitable[bool]], timeout_seconds: float = WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not await holds():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.2)


@contextlib.contextmanager
def bench(bootstrap_servers: str, data: Path) -> Iterator[Bench]:
    made = Bench(kafka.KafkaSettings(bootstrap_servers=bootstrap_servers), data)
    try:
        yield made
    finally:
        made.end()
