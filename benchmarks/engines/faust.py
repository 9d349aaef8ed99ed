"""Faust on JSON, event by event, as its documentation shows it: what Abdrift would cost without frames."""

import sys
from typing import Final

from benchmarks import environment
from benchmarks.engines.engine import Engine, Reads, follower

_PROGRAM: Final = environment.PROGRAMS / "faust_.py"

ENGINE: Final = Engine(
    name="faust",
    state="RocksDB tables with changelogs",
    reads=Reads.JSON,
    rows_per_second=1_500,
    prepare=lambda: None,
    run=follower(lambda: sys.executable, _PROGRAM),
)
