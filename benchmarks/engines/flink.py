"""Flink, parallelism 1, on JSON: keyed state in RocksDB or on the heap, checkpoints every five seconds."""

from typing import Final

from benchmarks import java
from benchmarks.engines.engine import Engine, Reads, Run, follow


def _run(backend: str) -> Run:
    return lambda job: follow(java.command(java.FLINK_JSON, (*job.arguments, backend)), job)


ROCKSDB: Final = Engine(
    name="flink",
    state="RocksDB, incremental checkpoints every 5 s",
    reads=Reads.JSON,
    rows_per_second=80_000,
    prepare=lambda: java.command(java.FLINK_JSON, ()),
    run=_run("rocksdb"),
)
HEAP: Final = Engine(
    name="flink",
    state="heap",
    reads=Reads.JSON,
    rows_per_second=150_000,
    prepare=lambda: java.command(java.FLINK_JSON, ()),
    run=_run("hashmap"),
)
