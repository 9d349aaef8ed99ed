"""The step on a real broker: state and words are exact though the worker is killed at every stage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from abdrift import frames, kafka
from abdrift.partitions import partition_of
from abdrift.topics import DEAD_LETTERS
from streams.rates import read
from streams.rates.counting import BEAT_MS
from streams.step import Input
from tests.streams.bench import eventually
from tests.streams.rates import readback
from tests.streams.rates.oracle import Oracle
from tests.streams.rates.story import encoded, event, portrait, said_in
from tests.streams.rates.worker import rates_step

if TYPE_CHECKING:
    from abdrift.broker import EmbeddedBroker

pytestmark = pytest.mark.parts

PARTITIONS = 2
FRAMES = 120
ROOT = Path(__file__).parents[3]
CLUSTERS = {p: [f"c{n}" for n in range(40) if partition_of(f"c{n}", PARTITIONS) == p][:4] for p in range(PARTITIONS)}
KILLED_AT = {
    "before anything of a batch is written": ("processed", 6),
    "with a batch's cells written and no commit": ("staged", 6),
    "with a commit and its words not published": ("redo", 6),
    "with words published": ("facts", 9),
    "before the source is acknowledged": ("cells", 9),
}


class Table:
    """One trial's topics and workers."""

    def __init__(self, broker: EmbeddedBroker, data: Path) -> None:
        self.settings = kafka.KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        self.data = data
        self.prefix = f"r{secrets.token_hex(4)}"
        self.step = rates_step(self.prefix)

    async def create_topics(self) -> None:
        wanted = [
            NewTopic(t.name, PARTITIONS, 1, topic_configs=t.config()) for t in (*self.step.reads, *self.step.writes)
        ]
        letters = NewTopic(DEAD_LETTERS.name, PARTITIONS, 1, topic_configs=DEAD_LETTERS.config())
        async with kafka.admin(self.settings) as admin:
            await admin.create_topics(wanted)
            with contextlib.suppress(TopicAlreadyExistsError):
                await admin.create_topics([letters])

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        given = {"kafka": self.settings.bootstrap_servers, "prefix": self.prefix, "data_dir": str(self.data)}
        command = [sys.executable, "-m", "tests.streams.rates.worker", json.dumps(given | options)]
        with (self.data / "worker.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    async def send(self, rng: random.Random) -> None:
        async with kafka.producer(self.settings) as producer:
            for number in range(FRAMES):
                partition = number % PARTITIONS
                rows = [
                    event(
                        cluster=rng.choice(CLUSTERS[partition]),
                        object_name=f"w{rng.randrange(30)}",
                        type=rng.choice(["Warning", "Normal"]),
                        count=rng.randrange(1, 4),
                        last_ms=1_790_000_040_000 + number * 2_000 + rng.randrange(5_000),
                    )
                    for _ in range(200)
                ]
                made = encoded(rows, number // PARTITIONS, "s")
                # Every tenth is sent twice, as a source does that missed an acknowledgement.
                for _ in range(1 + (number % 10 == 0)):
                    await producer.send_and_wait(
                        self.step.reads[0].name, made.value, partition=partition, headers=list(made.headers)
                    )
                await asyncio.sleep(0.02)

    async def records(self, topic: str, partition: int) -> list[Any]:
        return [one async for one in readback.records(self.settings, topic, partition)]

    async def cells(self, partition: int) -> tuple[dict[str, bytes], int]:
        """Return what the changelog says of a partition, and the input's next offset by it."""
        return await readback.cells(self.settings, self.step, partition)

    async def check(self) -> None:
        for partition in range(PARTITIONS):
            kept, offset = await self.cells(partition)
            taken = [self._input(one) for one in await self.records(self.step.reads[0].name, partition)]
            oracle = Oracle().feed([one for one in taken if one.offset < offset])
            state = read.opened(kept, partition, PARTITIONS)
            oracle.settle(state.beat)
            assert portrait(state) == oracle.portrait()
            words: dict[bytes, frames.Frame] = {}
            for one in await self.records(self.step.writes[0].name, partition):
                lane = dict(one.headers)["abdrift-parts"]
                frame = frames.decode(one.value, one.headers)
                assert words.setdefault(lane, frame).batch.equals(frame.batch), "a repeat that differs"
            expected = [said for said in oracle.said if said[0] < state.beat * BEAT_MS]
            assert [said for frame in words.values() for said in said_in(frame)] == expected

    @staticmethod
    def _input(one: Any) -> Input:
        frame = None if one.value is None else frames.decode(one.value, one.headers)
        return Input(one.topic, one.partition, one.offset, one.timestamp, frame=frame)

    async def done(self) -> bool:
        """Whether every frame sent is absorbed, and the beat after it settled."""
        for partition in range(PARTITIONS):
            sent = await self.records(self.step.reads[0].name, partition)
            last = max(one.offset for one in sent if one.value is not None)
            if (await self.cells(partition))[1] <= last + 1:
                return False
        return True


async def test_killed_at_any_stage_its_state_and_words_are_exact(kafka: EmbeddedBroker, tmp_path: Path) -> None:
    async def one(name: str, stage: str, times: int) -> None:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        table = Table(kafka, folder)
        await table.create_topics()
        worker = table.start(signal_at=[stage, times, signal.SIGKILL])
        try:
            await table.send(random.Random(stage))
            assert await asyncio.to_thread(worker.wait, 60) == -signal.SIGKILL, name
            worker = table.start()
            await eventually(table.done, 90)
        finally:
            worker.kill()
            await asyncio.to_thread(worker.wait)
        await table.check()

    await asyncio.gather(*(one(name, *at) for name, at in KILLED_AT.items()))
