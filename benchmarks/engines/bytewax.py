"""Bytewax on JSON, one worker."""

from typing import Final

from benchmarks import environment
from benchmarks.engines.engine import Engine, Reads, follower

_PROGRAM: Final = environment.PROGRAMS / "bytewax_.py"

ENGINE: Final = Engine(
    name="bytewax",
    state="stateful map, snapshots every 5 s",
    reads=Reads.JSON,
    rows_per_second=70_000,
    prepare=environment.python,
    run=follower(environment.python, _PROGRAM),
)
