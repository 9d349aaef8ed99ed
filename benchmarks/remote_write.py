"""Remote write: Abdrift's receiver and Prometheus's own, on the same captured requests, in turn; medians.

Each is one process on one core, with everything else on another: the sender, and for Abdrift the broker too. Both
answer once what they were sent is kept: Prometheus when it is in its log on disk, Abdrift when Kafka has acknowledged
it. Each run begins with an engine that knows no series, and the first quarter of its rows is left out of its rate.
"""

import asyncio
import contextlib
import hashlib
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import requests

from abdrift import kafka, provision
from abdrift.broker import EmbeddedBroker, ports
from abdrift.kafka import KafkaSettings
from abdrift.topics import SAMPLES
from benchmarks import captured, filling
from benchmarks.captured import SHARDS, Body, Captured
from benchmarks.engines.abdrift import profiled
from benchmarks.firehose import on_core, scratch
from benchmarks.measuring import Measured, PinnedProgram, RunError, cores, usage

NAMES: Final = ("abdrift", "prometheus")
REFERENCE: Final = "prometheus"

_ROWS_PER_SECOND: Final = {"abdrift": 400_000, "prometheus": 200_000}
"""About what each does, to give runs their length."""
_TOKEN: Final = "benchmark"  # noqa: S105  for a receiver on loopback that lives for seconds
_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 15.0
_MIB: Final = 1 << 20
_DIGITS: Final = 4
_PATH: Final = "/api/v1/write"
_HEADERS: Final = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

Tell = Callable[[str], None]
Requests = Sequence[tuple[bytes, Body]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWriteSpec:
    """What to run."""

    engines: Sequence[str] = NAMES
    repeats: int = 5
    seconds: float = 10.0
    """About how long one run takes."""
    rows: int | None = None
    """Of every run, instead of `seconds`."""
    instances: int = 100
    """Names under which Prometheus scrapes itself, some 700 series each."""
    samples_per_request: int = 2_000
    """Prometheus's default since 2.50; 2.42's was 500."""
    captured_rows: int = 500_000
    profile: Path | None = None
    """Where a flame graph of Abdrift's last run goes."""

    def rows_of(self, engine: str) -> int:
        """Return how many rows a run of an engine takes at least."""
        return self.rows or round(_ROWS_PER_SECOND[engine] * self.seconds)


@dataclass(slots=True)
class _Runs:
    engine: str
    measured: list[Measured] = field(default_factory=list)
    stored_bytes_per_row: list[float] = field(default_factory=list)
    broker_cpu_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stage:
    spec: RemoteWriteSpec
    broker: EmbeddedBroker
    captured: Captured
    core: int
    folder: Path

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.broker.bootstrap_servers)


def run(spec: RemoteWriteSpec, tell: Tell) -> list[dict[str, Any]]:
    """Run the engines and return a line for each.

    Raises:
        benchmarks.measuring.RunError: an engine is missing, failed, or lost samples.
        abdrift.broker.BrokerError: there is no broker to be had.

    """
    worker_core, other_core = cores()
    captured.program()
    with on_core(other_core), scratch() as folder:
        tell("capturing requests of a real Prometheus")
        found = captured.capture(
            folder,
            instances=spec.instances,
            samples_per_request=spec.samples_per_request,
            rows=spec.captured_rows,
            core=worker_core,
        )
        raw = sum(len(body.raw) for body in found.bodies)
        tell(f"{found.rows:,} samples in {len(found.bodies)} requests, {raw / found.rows:.0f} bytes each decompressed")
        with EmbeddedBroker(folder / "broker", heap_mb=1024, extra_properties={"log.retention.bytes": "-1"}) as broker:
            return _run_all(_Stage(spec, broker, found, worker_core, folder), tell)


def _run_all(stage: _Stage, tell: Tell) -> list[dict[str, Any]]:
    asyncio.run(provision.create(stage.kafka, partitions=1, replication=1))
    runs = [_Runs(name) for name in NAMES if name in stage.spec.engines]
    for turn in range(stage.spec.repeats):
        for one in runs:
            bodies = list(stage.captured.enough(stage.spec.rows_of(one.engine)))
            shutil.rmtree(stage.folder / "run", ignore_errors=True)
            (stage.folder / "run").mkdir()
            _ENGINES[one.engine](stage, bodies, one)
            last = one.measured[-1]
            tell(
                f"{one.engine}, {turn + 1}/{stage.spec.repeats}: {last.rows_per_second:,.0f} rows/s, "
                f"{last.cpu_seconds_per_million_rows:.3f} CPU s a million rows"
            )
    return lines(runs)


def _run_abdrift(stage: _Stage, bodies: Requests, runs: _Runs) -> None:
    address = f"{ports.HOST}:{ports.choose()}"
    folder = stage.folder / "run"
    asyncio.run(filling.create(stage.kafka, SAMPLES.name, 1, {**SAMPLES.config(), "retention.ms": "-1"}))
    (folder / "receive.json").write_text(json.dumps(_receiver(address)))
    command = (
        *(
            sys.executable,
            "-m",
            "abdrift",
            "receive",
            "--config",
            str(folder / "receive.json"),
            "--log-level",
            "warning",
        ),
        *("--kafka", stage.broker.bootstrap_servers, "--data", str(folder / "data")),
    )
    before = _broker_cpu_seconds(stage)
    with PinnedProgram(command, stage.core) as program, contextlib.ExitStack() as stack:
        _until_ready(program, f"http://{address}/readyz")
        if stage.spec.profile:
            stack.enter_context(profiled(program.process.popen.pid, stage.spec.profile))
        rows = asyncio.run(_write(program, f"http://{address}{_PATH}", bodies))
        runs.measured.append(program.watch.measured())
        program.stop(_STOP_SECONDS)
    runs.broker_cpu_seconds.append((_broker_cpu_seconds(stage) - before) / rows * 1e6)
    if (kept := asyncio.run(_kept(stage.kafka))) != rows:
        raise RunError(f"abdrift acknowledged {rows} samples, and Kafka has {kept}")
    runs.stored_bytes_per_row.append(filling.log_bytes(stage.broker.data_dir, SAMPLES.name) / rows)


def _receiver(address: str) -> dict[str, Any]:
    rate = {"requests_per_second": 1e6, "bytes_per_second": 1e12, "concurrent_requests": 2 * SHARDS}
    client = {"name": "bench", "cluster": "bench", "bearer_sha256": hashlib.sha256(_TOKEN.encode()).hexdigest()}
    return {
        "listen": address,
        "instance": "bench",
        "clients": [{**client, "rate": rate}],
        "handlers": {"remote-write": {"path": _PATH}},
    }


def _run_prometheus(stage: _Stage, bodies: Requests, runs: _Runs) -> None:
    address, folder = f"{ports.HOST}:{ports.choose()}", stage.folder / "run"
    (folder / "prometheus.yaml").write_text("global: {}\n")
    command = (
        *(str(captured.program()), f"--config.file={folder / 'prometheus.yaml'}", "--web.enable-remote-write-receiver"),
        *(f"--web.listen-address={address}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"),
    )
    with PinnedProgram(command, stage.core) as program:
        _until_ready(program, f"http://{address}/-/ready")
        rows = asyncio.run(_write(program, f"http://{address}{_PATH}", bodies))
        runs.measured.append(program.watch.measured())
        kept = _appended(f"http://{address}/metrics")
        program.stop(_STOP_SECONDS)
    if kept != rows:
        raise RunError(f"prometheus acknowledged {rows} samples, and has {kept}")
    log = sum(path.stat().st_size for path in (folder / "data" / "wal").rglob("*") if path.is_file())
    runs.stored_bytes_per_row.append(log / rows)


_ENGINES: Final = {"abdrift": _run_abdrift, "prometheus": _run_prometheus}


async def _write(program: PinnedProgram, url: str, bodies: Requests) -> int:
    """Send each chain of requests in its order, all chains at the same time; return how many samples were taken."""
    chains: dict[int, list[tuple[bytes, Body]]] = {}
    for request in bodies:
        chains.setdefault(request[1].chain, []).append(request)
    acknowledged = 0

    async def send(http: aiohttp.ClientSession, chain: Requests) -> None:
        nonlocal acknowledged
        for request, body in chain:
            async with http.post(url, data=request, headers=_HEADERS) as answer:
                if answer.status // 100 != 2:  # noqa: PLR2004  2xx
                    raise RunError(program.told(f"answered with {answer.status}: {(await answer.text())[:500]}"))
            acknowledged += body.rows

    async def watch() -> None:
        while True:
            program.watch.note(acknowledged)
            program.drain()
            await asyncio.sleep(_POLL_SECONDS)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {_TOKEN}"}) as http:
        watching = asyncio.create_task(watch())
        try:
            async with asyncio.TaskGroup() as group:
                for chain in chains.values():
                    group.create_task(send(http, chain))
        except* aiohttp.ClientError as errors:
            told = f"broke off after {acknowledged} samples: {errors.exceptions[0]!r}"
            raise RunError(program.told(told)) from errors
        except* RunError as errors:
            raise RunError(str(errors.exceptions[0])) from errors
        finally:
            watching.cancel()
    program.watch.note(acknowledged)
    return acknowledged


async def _kept(settings: KafkaSettings) -> int:
    """Return how many rows the topic's frames say that they have."""
    rows = 0
    async with kafka.consumer(settings, SAMPLES.name) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=1_000)).values():
                    rows += sum(int(dict(record.headers)["abdrift-rows"]) for record in records)
    return rows


def _appended(url: str) -> int:
    """Return how many samples a Prometheus has taken in since it started."""
    said = requests.get(url, timeout=10).text
    name = 'prometheus_tsdb_head_samples_appended_total{type="float"}'
    return next(round(float(line.rpartition(" ")[2])) for line in said.splitlines() if line.startswith(name))


def _until_ready(program: PinnedProgram, url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=10).ok:
                return
        if program.process.popen.poll() is not None or time.monotonic() > deadline:
            program.drain()
            raise RunError(program.told(f"not ready in {_READY_SECONDS:g} s"))
        time.sleep(_POLL_SECONDS)


def _broker_cpu_seconds(stage: _Stage) -> float:
    assert stage.broker.pid is not None, "the broker runs"
    return usage(stage.broker.pid)[0]


def lines(runs: Sequence[_Runs]) -> list[dict[str, Any]]:
    """Return a line an engine: medians, with the firehose's keys."""
    rates = {one.engine: statistics.median(each.rows_per_second for each in one.measured) for one in runs}
    reference = rates.get(REFERENCE)
    return [
        {
            "engine": one.engine,
            "rows_per_second_core": round(rates[one.engine]),
            "cpu_seconds_per_million_rows": _rounded(
                statistics.median(each.cpu_seconds_per_million_rows for each in one.measured)
            ),
            "bytes_per_row": round(statistics.median(one.stored_bytes_per_row), 2),
            "ratio_to_prometheus": _rounded(rates[one.engine] / reference) if reference else None,
            "memory_mib": round(statistics.median(each.memory_bytes for each in one.measured) / _MIB),
            "broker_cpu_seconds_per_million_rows": _rounded(statistics.median(one.broker_cpu_seconds or (0.0,))),
            "rows": one.measured[0].rows,
            "core_taken_by_others": _rounded(statistics.median(each.foreign_share for each in one.measured)),
            "runs": [round(each.rows_per_second) for each in one.measured],
        }
        for one in runs
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
