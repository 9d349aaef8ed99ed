"""Abdrift: one worker process with one step, its state durable and exact as the engine keeps it."""

import asyncio
import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import requests

from abdrift.broker import ports
from abdrift.topics import EVENTS
from benchmarks import abdrift_counts, environment, filling, flame
from benchmarks.engines.engine import Engine, Job, Reads
from benchmarks.measuring import Measured, PinnedProgram, RunError
from streams.preparation import changelog_topic, group_id

STEP: Final = "rates"
_ROWS: Final = re.compile(rf'^abdrift_engine_rows_total{{step="{STEP}"}} (\S+)$', re.MULTILINE)
_POLL_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 20.0
_PROFILE_SECONDS: Final = 6


def _run(job: Job) -> Measured:
    # The step's group and changelog have fixed names: what a former run left would be resumed.
    asyncio.run(_begin_anew(job))
    metrics = f"{ports.HOST}:{ports.choose()}"
    command = (
        *(sys.executable, "-m", "abdrift", "worker", STEP, "--kafka", job.kafka.bootstrap_servers),
        *("--data", str(job.folder / "worker"), "--keys", str(job.folder / "keys")),
        *("--metrics", metrics, "--log-level", "warning"),
    )
    with PinnedProgram(command, job.core) as program, contextlib.ExitStack() as stack:
        measured = _follow(program, metrics, job, stack)
        program.stop(_STOP_SECONDS)
    asyncio.run(abdrift_counts.leave(job.kafka, job.folder))
    return measured


async def _begin_anew(job: Job) -> None:
    await filling.forget(job.kafka, changelog_topic(STEP))
    await filling.rewind(job.kafka, group_id(STEP), job.topic)


def _follow(program: PinnedProgram, metrics: str, job: Job, stack: contextlib.ExitStack) -> Measured:
    """Sample whenever the worker's own count of absorbed rows has moved, until it has absorbed all."""
    deadline = time.monotonic() + job.timeout_seconds
    noted: int | None = None
    while noted is None or noted < job.rows:
        if program.process.popen.poll() is not None or time.monotonic() > deadline:
            program.drain()
            raise RunError(program.told(f"the worker ended or hung after {noted} of {job.rows} rows"))
        time.sleep(_POLL_SECONDS)
        rows = _rows(metrics)
        if rows is None or rows == noted:
            continue
        if rows and not noted and job.profile:
            stack.enter_context(profiled(program.process.popen.pid, job.profile))
        program.watch.note(rows)
        noted = rows
    return program.watch.measured()


@contextlib.contextmanager
def profiled(pid: int, path: Path) -> Iterator[None]:
    """Look where the worker's time goes for a while, its compiled libraries included, and draw it at the end."""
    stacks = path.with_suffix(".stacks")
    options = ("--native", "--format", "raw", "--rate", "100", "--duration", str(_PROFILE_SECONDS))
    py_spy = str(environment.python().with_name("py-spy"))
    command = [py_spy, "record", *options, "--output", str(stacks), "--pid", str(pid)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):  # noqa: S603  they are ours
        yield
    path.write_text(flame.draw(flame.merged(stacks.read_text())))
    stacks.unlink()


def _rows(metrics: str) -> int | None:
    """Return how many rows the worker's metrics tell of; None while it does not serve them."""
    try:
        said = requests.get(f"http://{metrics}/metrics", timeout=10).text
    except requests.ConnectionError:
        return None
    found = _ROWS.search(said)
    return round(float(found[1])) if found else 0


ENGINE: Final = Engine(
    name="abdrift",
    state="RocksDB with changelog, committed with every batch",
    reads=Reads.FRAMES,
    rows_per_second=4_000_000,
    prepare=lambda: None,
    run=_run,
    topic=EVENTS.name,
)
