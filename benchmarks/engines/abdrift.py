"""Abdrift: one worker process with one step, its state durable and exact as the engine keeps it."""

import asyncio
import re
import sys
import time
from typing import Final

import requests

from abdrift.broker import ports
from benchmarks import filling
from benchmarks.engines.engine import Engine, Job, Reads
from benchmarks.measuring import Measured, PinnedProgram, RunError
from streams.preparation import changelog_topic

STEP: Final = "health"
_ROWS: Final = re.compile(rf'^abdrift_engine_rows_total{{step="{STEP}"}} (\S+)$', re.MULTILINE)
_POLL_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 20.0


def _run(job: Job) -> Measured:
    # The step's group and changelog have fixed names: what a former run left would be resumed.
    asyncio.run(filling.forget(job.kafka, groups=(f"abdrift-{STEP}",), topics=(changelog_topic(STEP),)))
    metrics = f"{ports.HOST}:{ports.choose()}"
    command = (
        *(sys.executable, "-m", "abdrift", "worker", STEP, "--kafka", job.kafka.bootstrap_servers),
        *("--data", str(job.folder / "worker"), "--keys", str(job.folder / "keys")),
        *("--metrics", metrics, "--log-level", "warning"),
    )
    with PinnedProgram(command, job.core) as program:
        measured = _follow(program, metrics, job)
        program.stop(_STOP_SECONDS)
    return measured


def _follow(program: PinnedProgram, metrics: str, job: Job) -> Measured:
    deadline = time.monotonic() + job.timeout_seconds
    rows = 0
    while rows < job.rows:
        if program.process.popen.poll() is not None:
            program.drain()
            raise RunError(program.told("the worker ended early"))
        if time.monotonic() > deadline:
            program.drain()
            raise RunError(program.told(f"{rows} of {job.rows} rows after {job.timeout_seconds:g} s"))
        time.sleep(_POLL_SECONDS)
        rows = _rows(metrics)
        if rows and rows != (program.watch.samples[-1].rows if program.watch.samples else 0):
            program.watch.note(rows)
    return program.watch.measured()


def _rows(metrics: str) -> int:
    try:
        said = requests.get(f"http://{metrics}/metrics", timeout=10).text
    except requests.ConnectionError:
        return 0
    found = _ROWS.search(said)
    return round(float(found[1])) if found else 0


ENGINE: Final = Engine(
    name="abdrift",
    state="RocksDB with changelog, committed with every batch",
    reads=Reads.FRAMES,
    rows_per_second=3_000_000,
    prepare=lambda: None,
    run=_run,
    counts=False,
)
