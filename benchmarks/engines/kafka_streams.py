"""Kafka Streams, one thread: on JSON as people use it, and on the same frames as Abdrift reads."""

from typing import Final

from benchmarks import java
from benchmarks.engines.engine import Engine, Reads, follow

_STATE: Final = "RocksDB with changelog, committed every 5 s"

JSON: Final = Engine(
    name="kafka-streams",
    state=_STATE,
    reads=Reads.JSON,
    rows_per_second=110_000,
    prepare=lambda: java.command(java.KAFKA_STREAMS_JSON, ()),
    run=lambda job: follow(java.command(java.KAFKA_STREAMS_JSON, job.arguments), job),
)
FRAMES: Final = Engine(
    name="kafka-streams-frames",
    state=_STATE,
    reads=Reads.FRAMES,
    rows_per_second=600_000,
    prepare=lambda: java.command(java.KAFKA_STREAMS_FRAMES, ()),
    run=lambda job: follow(java.command(java.KAFKA_STREAMS_FRAMES, job.arguments), job),
)
