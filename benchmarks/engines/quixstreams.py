"""Quix Streams on JSON, one worker."""

from typing import Final

from benchmarks import environment
from benchmarks.engines.engine import Engine, Job, Reads, follow
from benchmarks.measuring import Measured

_PROGRAM: Final = environment.PROGRAMS / "quix_streams.py"


def _run(job: Job) -> Measured:
    return follow([str(environment.python()), str(_PROGRAM), *job.arguments], job)


ENGINE: Final = Engine(
    name="quixstreams",
    state="RocksDB with changelog, committed every 5 s",
    reads=Reads.JSON,
    rows_per_second=25_000,
    prepare=environment.python,
    run=_run,
)
