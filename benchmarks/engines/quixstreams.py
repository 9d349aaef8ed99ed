"""Quix Streams on JSON, one worker."""

from typing import Final

from benchmarks import environment
from benchmarks.engines.engine import Engine, Reads, follower

_PROGRAM: Final = environment.PROGRAMS / "quix_streams.py"

ENGINE: Final = Engine(
    name="quixstreams",
    state="RocksDB with changelog, committed every 5 s",
    reads=Reads.JSON,
    rows_per_second=25_000,
    prepare=environment.python,
    run=follower(environment.python, _PROGRAM),
)
