"""The engines, one file each: what a run of one reads, how it is started, and how far it is told to be.

`ALL` names them in the order in which they are reported.
"""

from typing import Final

from benchmarks.engines import bytewax, faust, flink, kafka_streams, limits, quixstreams
from benchmarks.engines.abdrift import ENGINE as ABDRIFT
from benchmarks.engines.engine import Engine, Job, Reads

ALL: Final[dict[str, Engine]] = {
    engine.key: engine
    for engine in (
        ABDRIFT,
        kafka_streams.JSON,
        kafka_streams.FRAMES,
        flink.ROCKSDB,
        flink.HEAP,
        quixstreams.ENGINE,
        bytewax.ENGINE,
        faust.ENGINE,
        limits.FETCH_ONLY,
        limits.DECODE_ONLY,
        limits.ENCODE,
    )
}
NAMES: Final = tuple(dict.fromkeys(engine.name for engine in ALL.values()))

__all__ = ["ALL", "NAMES", "Engine", "Job", "Reads"]
