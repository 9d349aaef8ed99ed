"""The firehose: every engine on the same rows and the same broker, in turn, several times; medians.

The broker and this process keep to one core, the engine under test to another. Topics are filled before anything is
measured. A round runs each engine once, so that what disturbs the machine for a while disturbs all of them.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from abdrift import paths, provision
from abdrift.broker import EmbeddedBroker
from abdrift.kafka import KafkaSettings
from abdrift.topics import EVENTS
from benchmarks import engines, filling
from benchmarks.engines import Engine, Job, Reads
from benchmarks.measuring import Measured, RunError, cores, usage
from benchmarks.oracle import Counts, Oracle, WrongCountsError
from benchmarks.workload import Workload, WorkloadSpec

PARTITIONS: Final = 4
ROWS_PER_FRAME: Final = (10_000, 2_000, 500)
_MOST_READ_AGAIN: Final = 8_000_000
_TIMEOUT_SECONDS: Final = 300.0
_BROKER_SETTINGS: Final = {"log.retention.bytes": "-1"}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirehoseSpec:
    """What to run."""

    engines: Sequence[Engine] = tuple(engines.ALL.values())
    repeats: int = 5
    seconds: float = 10.0
    """About how long one run takes, by what engines are known to do."""
    rows: int | None = None
    """Of every engine's run, instead of `seconds`."""
    rows_per_frame: Sequence[int] = ROWS_PER_FRAME
    """The first one is what engines are compared on."""
    seed: int = 1
    partitions: int = PARTITIONS
    fleet_rows_per_second: int = 5_000_000
    """How fast the fleet speaks, by event and append time: a slower one gives a worker that catches up more to do."""
    clusters_per_frame: int | None = None
    """None: a lane of many. 1: one cluster a record."""
    profile: Path | None = None
    """Where a flame graph of Abdrift's last run goes."""

    def rows_of(self, engine: Engine, rows_per_frame: int) -> int:
        """Return how many rows a run of an engine takes: whole frames of each partition."""
        wanted = self.rows or round(engine.rows_per_second * self.seconds)
        step = rows_per_frame * self.partitions
        return -(-wanted // step) * step

    def topic_of(self, engine: Engine, rows_per_frame: int) -> tuple[str, int]:
        """Return the topic that an engine reads, and how many rows it holds.

        Partitions are read in any order, so an engine is given all of a topic, or its rows would not be the workload's
        first.
        """
        rows = self.rows_of(engine, rows_per_frame)
        if engine.reads_again:
            rows = min(rows, _MOST_READ_AGAIN)
        return engine.topic or f"bench.{engine.reads}.{rows}", rows


@dataclass(slots=True)
class Series:
    """An engine's runs on one shape of the workload."""

    engine: Engine
    rows_per_frame: int
    bytes_per_row: float
    runs: list[Measured] = field(default_factory=list)
    broker_cpu_seconds: list[float] = field(default_factory=list)
    """Of each run, start and end included."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """What a round of runs needs: the broker, the filled topics, and the oracle's counts by rows."""

    broker: EmbeddedBroker
    spec: FirehoseSpec
    core: int
    tell: Tell
    expected: dict[tuple[int, int], Counts] = field(default_factory=dict)

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.broker.bootstrap_servers)

    def broker_cpu_seconds(self) -> float:
        assert self.broker.pid is not None, "the broker runs"
        return usage(self.broker.pid)[0]

    def workload(self, rows: int, rows_per_frame: int) -> Workload:
        spec = self.spec
        return Workload(
            WorkloadSpec(
                rows=rows,
                rows_per_frame=rows_per_frame,
                seed=spec.seed,
                partitions=spec.partitions,
                clusters_per_frame=spec.clusters_per_frame,
                rows_per_second=spec.fleet_rows_per_second,
            )
        )


def run(spec: FirehoseSpec, tell: Tell) -> list[Series]:
    """Run the engines and return their series, those on the first shape first.

    Raises:
        benchmarks.measuring.RunError: an engine's run failed.
        benchmarks.oracle.WrongCountsError: an engine counted wrong.
        abdrift.broker.BrokerError, benchmarks.environment.PeersMissingError, benchmarks.java.CompileError: this
            machine lacks something; the message says what and how to get it.

    """
    for engine in spec.engines:
        tell(f"preparing {engine.key}")
        engine.prepare()
    worker_core, broker_core = cores()
    if worker_core == broker_core:
        tell("warning: there is only one core, so the broker takes time from what is measured")
    with on_core(broker_core), scratch() as folder:
        broker = EmbeddedBroker(folder / "broker", heap_mb=1024, extra_properties=_BROKER_SETTINGS)
        with broker:
            stage = _Stage(broker, spec, worker_core, tell)
            return _run_all(stage, folder)


def _run_all(stage: _Stage, folder: Path) -> list[Series]:
    spec = stage.spec
    asyncio.run(provision.create(stage.kafka, partitions=spec.partitions, replication=1))
    series: list[Series] = []
    for index, rows_per_frame in enumerate(spec.rows_per_frame):
        chosen = [e for e in spec.engines if index == 0 or e.reads.has_frames]
        bytes_per_row = _fill_all(stage, chosen, rows_per_frame)
        of_shape = [Series(engine, rows_per_frame, bytes_per_row[engine.key]) for engine in chosen]
        for turn in range(spec.repeats):
            for one in of_shape:
                before = stage.broker_cpu_seconds()
                measured = _run_one(stage, one, folder / "run")
                one.runs.append(measured)
                one.broker_cpu_seconds.append(stage.broker_cpu_seconds() - before)
                stage.tell(
                    f"{one.engine.key}, frames of {rows_per_frame}, {turn + 1}/{spec.repeats}: "
                    f"{measured.rows_per_second:,.0f} rows/s, "
                    f"{measured.cpu_seconds_per_million_rows:.3f} CPU s a million rows"
                )
        series += of_shape
    return series


def _fill_all(stage: _Stage, chosen: Sequence[Engine], rows_per_frame: int) -> dict[str, float]:
    """Fill what these engines read; return bytes a row by engine, as the broker keeps them.

    The rows of an engine that reads nothing are taken to weigh what its frames do.
    """
    filled: dict[str, float] = {}
    found: dict[str, float] = {}
    for engine in chosen:
        if engine.reads is Reads.ROWS:
            found[engine.key] = _frame_bytes(stage.workload(20 * rows_per_frame, rows_per_frame))
            continue
        topic, rows = stage.spec.topic_of(engine, rows_per_frame)
        if topic not in filled:
            filled[topic] = _fill(stage, topic, stage.workload(rows, rows_per_frame), engine.reads)
        found[engine.key] = filled[topic]
    return found


def _fill(stage: _Stage, topic: str, workload: Workload, reads: Reads) -> float:
    rows = workload.spec.rows_made
    stage.tell(f"filling {topic} with {rows:,} rows")
    config = {**EVENTS.config(), "retention.ms": "-1", "message.timestamp.type": "CreateTime"}
    fill = filling.fill_json if reads is Reads.JSON else filling.fill_frames
    asyncio.run(filling.create(stage.kafka, topic, stage.spec.partitions, config))
    before = stage.broker_cpu_seconds()
    asyncio.run(fill(stage.kafka, topic, workload))
    size_bytes = filling.log_bytes(stage.broker.data_dir, topic)
    cpu_seconds = stage.broker_cpu_seconds() - before
    stage.tell(f"{size_bytes / 1e6:,.0f} MB, {cpu_seconds / size_bytes * 1e9:.1f} CPU s of the broker a GB written")
    return size_bytes / rows


def _run_one(stage: _Stage, series: Series, folder: Path) -> Measured:
    engine, spec = series.engine, stage.spec
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rows = spec.rows_of(engine, series.rows_per_frame)
    topic, _ = spec.topic_of(engine, series.rows_per_frame)
    job = Job(
        kafka=stage.kafka,
        topic=topic,
        rows=rows,
        rows_per_frame=series.rows_per_frame,
        seed=spec.seed,
        folder=folder,
        core=stage.core,
        timeout_seconds=_TIMEOUT_SECONDS,
        profile=spec.profile,
    )
    try:
        measured = engine.run(job)
    except RunError as error:
        raise RunError(f"{engine.key}: {error}") from error
    if engine.counts:
        oracle = Oracle(stage.workload(rows, series.rows_per_frame))
        at = (rows, series.rows_per_frame)
        if at not in stage.expected:
            stage.expected[at] = oracle.expected()
        try:
            oracle.check(folder, stage.expected[at])
        except WrongCountsError as error:
            raise WrongCountsError(f"{engine.key}: {error}") from error
    return measured


def _frame_bytes(workload: Workload) -> float:
    frames = [frame for _, frame in workload.frames()]
    return sum(len(frame.value) for frame in frames) / sum(frame.rows for frame in frames)


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process, and what it starts without pinning, to one core."""
    former = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, former)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder in the cache that is deleted afterwards."""
    parent = paths.cache_dir() / "benchmarks"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="run-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
