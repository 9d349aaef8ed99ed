"""A fleet's state lost from disk: it is read back from Kafka as it was, and the worker tells how far it is."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
import rocksdict
from aiokafka import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from abdrift import kafka, provision, topics
from abdrift.broker import EmbeddedBroker, ports
from abdrift.kafka import KafkaSettings
from benchmarks.filling import fill_frames
from benchmarks.workload import WorkloadSpec, workload
from streams.commit import recover
from streams.drift.step import DriftStep
from streams.health import HealthStep
from streams.preparation import group_id
from streams.rates import RatesStep
from tests.streams.bench import LOG_TAIL_BYTES, ROOT, WITHIN_SECONDS, eventually
from tests.streams.fleet import cluster_rows, fill_objects
from tests.streams.rates import readback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streams.step import AnyStep

pytestmark = pytest.mark.parts

STEPS: Final[Mapping[str, AnyStep]] = {
    "rates": RatesStep(),  # first: health reads what it says
    "drift": DriftStep(lambda *_: None),
    "health": HealthStep(),
}
_TAKEN: Final = re.compile(r"partition-taken step=(\w+) partition=(\d+) epoch=\d+ cells=(\d+) version=(\d+) ")
_TOLD: Final = re.compile(r"(restoring|restored) step=(\w+) .*records=(\d+) of=(\d+) bytes=(\d+) percent=(\d+) ")


@dataclass(frozen=True)
class Size:
    """How large a fleet, and which steps share a worker."""

    clusters: int
    workloads: int
    """Of each cluster: a Deployment, a ConfigMap and a Service."""
    events: int
    partitions: int
    together: Sequence[Sequence[str]]


SHORT = Size(clusters=24, workloads=2, events=20_000, partitions=4, together=(("rates", "drift", "health"),))
WHOLE = Size(
    clusters=10_000, workloads=5, events=20_000_000, partitions=8, together=(("rates",), ("drift",), ("health",))
)

Commits = dict[tuple[str, int], tuple[int, int]]
"""By step and partition: how many cells there are, and the number of the last commit."""


@dataclass
class Worker:
    """`abdrift worker` with some of the steps, on a folder of its own. Nothing ticks: only what it reads moves it."""

    settings: KafkaSettings
    folder: Path
    steps: Sequence[str]
    metrics: str = field(default_factory=lambda: f"{ports.HOST}:{ports.choose()}")

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    def start(self) -> None:
        options = ["--kafka", self.settings.bootstrap_servers, "--data", str(self.folder / "data")]
        options += ["--keys", str(self.folder / "keys"), "--metrics", self.metrics, "--tick-seconds", "3600"]
        command = [sys.executable, "-m", "abdrift", "worker", *self.steps, *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    async def taken(self, partitions: int) -> None:
        """Return once it works on all partitions of its steps."""

        async def holds() -> bool:
            assert self.process.poll() is None, f"it ended\n{self.tail()}"
            return self.log.read_text().count("partition-taken") == partitions * len(self.steps)

        await eventually(holds)

    async def stop(self) -> None:
        self.process.terminate()
        assert await asyncio.to_thread(self.process.wait, WITHIN_SECONDS) == 0, self.tail()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def tail(self) -> str:
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def peak_mb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(dict(line.split(":", 1) for line in status.splitlines())["VmHWM"].split()[0]) // 1000


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(WHOLE, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
async def test_state_that_is_gone_from_disk_is_restored_and_progress_is_told(
    size: Size, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\nrestore: {line}", end="", flush=True)  # noqa: T201  a soak shows where it is

    with EmbeddedBroker(tmp_path / "kafka", heap_mb=1024 if size is WHOLE else 512) as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        workers = [Worker(settings, tmp_path / "-".join(steps), steps) for steps in size.together]
        await fill(settings, size, tmp_path)
        try:
            await absorb(settings, size, workers)
            before = await commits(settings, size)
            for worker in workers:
                await restore(worker, size, before, say)
        finally:
            for worker in workers:
                worker.end()
        for worker in workers:
            await compare(settings, size, worker)
    shutil.rmtree(tmp_path)


async def fill(settings: KafkaSettings, size: Size, folder: Path) -> None:
    await provision.create(settings, partitions=size.partitions, replication=1)
    await fill_objects(settings, await cluster_rows(folder, size.workloads), size.clusters, size.partitions)
    spec = WorkloadSpec(rows=size.events, clusters=size.clusters, partitions=size.partitions, rows_per_frame=2_000)
    await fill_frames(settings, topics.EVENTS.name, workload(spec, rows_per_second=size.events // 240))


async def absorb(settings: KafkaSettings, size: Size, workers: Sequence[Worker]) -> None:
    """Let workers make state of what there is."""
    for worker in workers:
        worker.folder.mkdir()
        worker.start()
    for worker in workers:
        await worker.taken(size.partitions)
    for step in STEPS.values():

        async def is_done(step: AnyStep = step) -> bool:
            for worker in workers:
                assert worker.process.poll() is None, f"it ended\n{worker.tail()}"
            return await absorbed(settings, step, size.partitions)

        await eventually(is_done, 20 * WITHIN_SECONDS)
    for worker in workers:
        await worker.stop()


async def restore(worker: Worker, size: Size, before: Commits, say: Callable[[str], None]) -> None:
    """Wipe a worker's copies, start it again, and hold what it took over and told against what it ought to."""
    shutil.rmtree(worker.folder / "data")
    begun = time.monotonic()
    worker.start()
    await worker.taken(size.partitions)
    seconds, peak_mb = time.monotonic() - begun, worker.peak_mb()
    shown = await metrics(worker.metrics)
    await worker.stop()
    said = worker.log.read_text()
    taken = {(step, int(number)): (int(cells), int(version)) for step, number, cells, version in _TAKEN.findall(said)}
    assert taken == {at: commit for at, commit in before.items() if at[0] in worker.steps}
    for step in worker.steps:
        told = [match.groups() for match in _TOLD.finditer(said) if match[2] == step]
        assert (told[0][0], told[0][5]) == ("restoring", "0")
        name, _, records, wanted, size_bytes, percent = told[-1]
        assert (name, records, percent) == ("restored", wanted, "100")
        assert sum(shown["records", step].values()) == sum(shown["wanted_records", step].values()) == int(wanted) > 0
        assert sum(shown["bytes", step].values()) == int(size_bytes) > 0
        assert set(shown["percent", step].values()) == {100}
        assert set(shown["seconds_left", step].values()) == {0}
        cells = sum(count for (of, _), (count, _) in taken.items() if of == step)
        say(f"{step}: {cells:,} cells; changelog {int(wanted):,} records, {int(size_bytes) / 1e6:,.0f} MB")
    say(f"{' '.join(worker.steps)}: works {seconds:.1f} s after its start, at most {peak_mb:,} MB resident")
    for line in said.splitlines():
        if "restored " in line:
            say(line.partition("streams: ")[2])


async def compare(settings: KafkaSettings, size: Size, worker: Worker) -> None:
    """Hold the copies that a worker left on disk against the changelogs, read by other means."""
    for name in worker.steps:
        for partition in range(size.partitions):
            (path,) = (worker.folder / "data" / name).rglob(f"*-{partition}.db")
            options = rocksdict.Options(raw_mode=True)
            with closing(rocksdict.Rdict(str(path), options, access_type=rocksdict.AccessType.read_only())) as copy:
                on_disk = recover(copy.items())
            assert on_disk == await readback.recovered(settings, STEPS[name], partition)


async def absorbed(settings: KafkaSettings, step: AnyStep, partitions: int) -> bool:
    """Whether a step has read its inputs to their ends."""
    inputs = [TopicPartition(topic.name, number) for topic in step.reads for number in range(partitions)]
    async with kafka.consumer(settings) as consumer:
        ends = await consumer.end_offsets(inputs)
    async with kafka.admin(settings) as admin:
        found = await admin.list_consumer_group_offsets(group_id(step.name))
    return all(end == 0 or (tp in found and found[tp].offset >= end) for tp, end in ends.items())


async def commits(settings: KafkaSettings, size: Size) -> Commits:
    found: Commits = {}
    for name, step in STEPS.items():
        for partition in range(size.partitions):
            state = await readback.recovered(settings, step, partition)
            found[name, partition] = len(state.cells), state.redo.version
    return found


async def metrics(address: str) -> dict[tuple[str, str], dict[str, float]]:
    """Return what the restore metrics show: by name and step, each partition's value."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        families: Iterator[Any] = text_string_to_metric_families(await answer.text())
    shown: dict[tuple[str, str], dict[str, float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        prefix, is_ours, name = sample.name.partition("abdrift_engine_restore_")
        if is_ours and not prefix:
            shown.setdefault((name, sample.labels["step"]), {})[sample.labels["partition"]] = sample.value
    return shown
