"""A trial of the rates step: two workers, a source that feeds them, and everything that may happen to all three.

Everything that chance decides comes from a seed: which act comes next, to whom, how long after. What is waited for is
never a time but something seen: a worker that goes on, a partition that has a new owner.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from abdrift import kafka
from abdrift.kafka import KafkaSettings
from abdrift.topics import DEAD_LETTERS
from streams.preparation import group_id
from tests.streams.bench import LOG_TAIL_BYTES, ROOT, WITHIN_SECONDS, eventually
from tests.streams.rates.worker import rates_step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from aiokafka import AIOKafkaProducer

    from abdrift.broker import EmbeddedBroker
    from abdrift.frames import EncodedFrame
    from benchmarks.workload import Workload

PARTITIONS: Final = 4
CHUNK_FRAMES: Final = 16
"""Sent at a time, and again where one of them was not acknowledged: fewer than the holes that a lane remembers."""
REPEATED_CHUNKS: Final = 10
"""Each so many-th chunk is sent twice, as by a source that missed an acknowledgement."""
WIPED: Final = 0.2
"""The share of restarts that find no local copy of the state."""
IMPATIENT: Final = 0.3
"""The share of acts after which the next does not wait until its victim works again."""
_TAKEN: Final = re.compile(rb"partition-taken \S+ partition=(\d+)")


class Act(Enum):
    """What happens to the workers and the broker."""

    KILL = "kill a worker"
    PAUSE = "pause an owner"
    BROKER = "kill the broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violence:
    """How much happens, and how the workers are set."""

    kills: int
    pauses: int
    broker_kills: int
    session_seconds: float
    seconds_an_act: float
    """How long a source takes to send what it may between one act and the next."""
    seed: int = 1
    max_windows: int = 1 << 18
    batch_rows: int = 2_000
    checkpoint_bytes: int = 50_000

    def acts(self, rng: random.Random) -> list[Act]:
        """Return all acts in an order by chance."""
        acts = [Act.KILL] * self.kills + [Act.PAUSE] * self.pauses + [Act.BROKER] * self.broker_kills
        rng.shuffle(acts)
        return acts


class Member:
    """One worker of the group, started again whenever it ends, as an orchestrator does."""

    def __init__(self, name: str, folder: Path, options: dict[str, object], rng: random.Random) -> None:
        self.name = name
        self.ends: Counter[int] = Counter()
        self._rng = rng
        self._data, self._log = folder / name, folder / f"{name}.log"
        self._progress = folder / f"{name}.progress"
        self._options = options | {"data_dir": str(self._data), "progress": str(self._progress)}
        self.process = self._started()

    async def keep_running(self) -> None:
        """Start it again each time it ends; at times on another machine, without its local copy."""
        while True:
            while (status := self.process.poll()) is None:  # noqa: ASYNC110  a child's end wakes no one here
                await asyncio.sleep(0.05)
            self.ends[status] += 1
            await asyncio.sleep(self._rng.uniform(0, 1))
            if self._rng.random() < WIPED:
                shutil.rmtree(self._data, ignore_errors=True)
            self.process = self._started()

    @property
    def batches(self) -> int:
        """How many it has acknowledged."""
        return self._progress.stat().st_size if self._progress.exists() else 0

    @property
    def log_bytes(self) -> int:
        """How long its log is."""
        return self._log.stat().st_size

    def taken(self, since_bytes: int = 0) -> list[int]:
        """Return the partitions that it took over, by its log from there on."""
        with self._log.open("rb") as log:
            log.seek(since_bytes)
            return [int(number) for number in _TAKEN.findall(log.read())]

    def says(self, word: str) -> int:
        """Return how often a word stands in its log."""
        return self._log.read_text().count(word)

    def log_tail(self) -> str:
        """Return the end of its log, for a failure's message."""
        return f"--- {self.name}\n{self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors='replace')}"

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.streams.rates.worker", json.dumps(self._options)]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


class Feed:
    """A source that sends a workload's frames, no further than it may."""

    def __init__(self, settings: KafkaSettings, topic: str, workload: Workload, pace_seconds: float) -> None:
        """`pace_seconds` is a chunk's."""
        self.repeats = 0
        self.sent = 0
        self._settings, self._topic, self._workload, self._pace_seconds = settings, topic, workload, pace_seconds
        self._allowed = 0
        self._more = asyncio.Event()

    def allow(self, frames: int) -> None:
        """Let it send so many frames, counted from the first."""
        self._allowed = frames
        self._more.set()

    async def run(self) -> None:
        """Send everything, and return when all of it is acknowledged."""
        frames = self._workload.frames()
        chunks = iter(lambda: list(itertools.islice(frames, CHUNK_FRAMES)), [])
        for number, chunk in enumerate(chunks):
            while self.sent >= self._allowed:
                self._more.clear()
                await self._more.wait()
            times = 2 if number % REPEATED_CHUNKS == 0 else 1
            for _ in range(times):
                await self._deliver(chunk)
            self.repeats += times - 1
            self.sent += len(chunk)
            await asyncio.sleep(self._pace_seconds)

    async def _deliver(self, chunk: Iterable[tuple[int, EncodedFrame]]) -> None:
        """Send frames until all are acknowledged; by a producer of their own, so that none must outlive a broker."""
        while True:
            try:
                async with kafka.producer(self._settings) as producer:
                    try:
                        await asyncio.gather(*[await self._send(producer, *one) for one in chunk])
                    except KafkaError:
                        self.repeats += 1
                    else:
                        return
            except kafka.KafkaUnreachableError:
                await asyncio.sleep(0.2)

    async def _send(self, producer: AIOKafkaProducer, partition: int, frame: EncodedFrame) -> Awaitable[object]:
        headers = list(frame.headers)
        sent: Awaitable[object] = await producer.send(self._topic, frame.value, partition=partition, headers=headers)
        return sent


class Trial:
    """The topics, the workers and the source; `run` puts them through it."""

    def __init__(
        self, broker: EmbeddedBroker, folder: Path, workload: Workload, violence: Violence, say: Callable[[str], None]
    ) -> None:
        self.settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        self.folder, self.workload, self.violence = folder, workload, violence
        self.prefix = f"v{secrets.token_hex(4)}"
        self.step = rates_step(self.prefix, violence.max_windows)
        self.members: list[Member] = []
        self.done: Counter[Act] = Counter()
        frames = workload.spec.frames
        acts = violence.kills + violence.pauses + violence.broker_kills
        self._frames_an_act = frames / (acts + 1)
        pace_seconds = violence.seconds_an_act * CHUNK_FRAMES / self._frames_an_act
        self.feed = Feed(self.settings, self.step.reads[0].name, workload, pace_seconds)
        self._broker, self.tell = broker, say
        self._rng = random.Random(violence.seed)

    async def run(self) -> None:
        """Let everything happen, then let the workers finish and stop them in order.

        Raises:
            BaseExceptionGroup: of what went wrong; of AssertionErrors, where a worker did not go on.

        """
        await self._create_topics()
        self.members = [
            Member(name, self.folder, self._options(), random.Random(f"{self.violence.seed}/{name}"))
            for name in ("A", "B")
        ]
        async with asyncio.TaskGroup() as tasks:
            keepers = [tasks.create_task(member.keep_running()) for member in self.members]
            feeding = tasks.create_task(self.feed.run())
            await self._violate()
            self.feed.allow(self.workload.spec.frames)
            await feeding
            await self._finish()
            for keeper in keepers:
                keeper.cancel()
        for member in self.members:
            member.process.terminate()
            assert await asyncio.to_thread(member.process.wait, WITHIN_SECONDS) == 0, member.log_tail()

    def end(self) -> None:
        """End the workers, whatever happened."""
        for member in self.members:
            member.end()

    def report(self) -> str:
        """Return in a line what happened."""
        ends = Counter(status for member in self.members for status in member.ends.elements())
        said = {word: sum(member.says(word) for member in self.members) for word in ("superseded", "intruder")}
        return (
            f"{self.workload.spec.rows_made:,} rows; {', '.join(f'{act.value}: {n}' for act, n in self.done.items())}; "
            f"ends by status {dict(ends)}; partitions taken {sum(len(one.taken()) for one in self.members)} times; "
            f"{said['superseded']} superseded, {said['intruder']} intruders met; {self.feed.repeats} chunks sent again"
        )

    async def _violate(self) -> None:
        await self._until("both workers work", lambda: all(member.batches for member in self.members))
        acts = self.violence.acts(self._rng)
        begun = time.monotonic()
        for number, act in enumerate(acts, 1):
            self.feed.allow(int(number * self._frames_an_act))
            await asyncio.sleep(self._rng.uniform(0, self.violence.seconds_an_act))
            self.tell(
                f"{time.monotonic() - begun:4.0f} s  {self.feed.sent * self.workload.spec.rows_per_frame:,} rows sent, "
                f"{number} of {len(acts)}: {act.value}"
            )
            await {Act.KILL: self._kill, Act.PAUSE: self._pause, Act.BROKER: self._kill_broker}[act]()
            self.done[act] += 1

    async def _kill(self) -> None:
        victim = self._rng.choice(self.members)
        await self._until("the victim runs", lambda: victim.process.poll() is None)
        victim.process.kill()
        await self._work_again(victim)

    async def _pause(self) -> None:
        victim = await self._owner()
        (other,) = (member for member in self.members if member is not victim)
        before = other.log_bytes
        victim.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.violence.session_seconds + 1)
        # What it owned has another owner now.
        await self._until("the other takes over", lambda: len(set(other.taken(before))) == PARTITIONS)
        victim.process.send_signal(signal.SIGCONT)
        await self._work_again(victim)

    async def _kill_broker(self) -> None:
        await asyncio.to_thread(self._broker.kill)
        await asyncio.sleep(self._rng.uniform(0, 2))
        await self._broker.astart()
        await self._work_again(*self.members)

    async def _owner(self) -> Member:
        """Return a worker that acknowledges batches at this moment."""
        before = {member.name: member.batches for member in self.members}
        await self._until("one works", lambda: any(one.batches > before[one.name] for one in self.members))
        return next(one for one in self.members if one.batches > before[one.name])

    async def _work_again(self, *victims: Member) -> None:
        """Wait until one of these acknowledges a batch; at times don't, so that blows fall in the midst of recovery."""
        if self._rng.random() < IMPATIENT:
            return
        before = {member.name: member.batches for member in victims}
        await self._until("a victim works again", lambda: any(one.batches > before[one.name] for one in victims))

    async def _finish(self) -> None:
        """Wait until everything sent is absorbed."""
        topic = self.step.reads[0].name
        where = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        async with kafka.consumer(self.settings) as consumer:
            ends = await consumer.end_offsets(where)

        async def absorbed() -> bool:
            async with kafka.admin(self.settings) as admin:
                found = await admin.list_consumer_group_offsets(group_id(self.step.name))
            return all(at in found and found[at].offset >= end for at, end in ends.items())

        self.tell(f"all is sent; {sum(ends.values()):,} records")
        try:
            await eventually(absorbed)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._logs()}") from None

    async def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"it did not come about that {what}\n{self._logs()}"
            await asyncio.sleep(0.05)

    def _logs(self) -> str:
        return "\n".join(member.log_tail() for member in self.members)

    async def _create_topics(self) -> None:
        wanted = [*self.step.reads, *self.step.writes, DEAD_LETTERS]
        async with kafka.admin(self.settings) as admin:
            await admin.create_topics([NewTopic(t.name, PARTITIONS, 1, topic_configs=t.config()) for t in wanted])

    def _options(self) -> dict[str, object]:
        violence = self.violence
        return {
            "kafka": self.settings.bootstrap_servers,
            "prefix": self.prefix,
            "max_windows": violence.max_windows,
            "batch_rows": violence.batch_rows,
            "checkpoint_bytes": violence.checkpoint_bytes,
            "session_seconds": violence.session_seconds,
            "request_seconds": 30.0,
        }
