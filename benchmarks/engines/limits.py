"""What a part of the job costs alone: fetching frames, decoding them, and making them at the collector."""

import sys
from typing import Final

from benchmarks.engines.engine import Engine, Job, Reads, follow
from benchmarks.measuring import Measured


def _limit(name: str, reads: Reads, rows_per_second: int) -> Engine:
    def run(job: Job) -> Measured:
        shape = (str(job.rows_per_frame), str(job.seed))
        return follow([sys.executable, "-m", "benchmarks.limits", name, *job.arguments, *shape], job)

    return Engine(
        name=name,
        state="none",
        reads=reads,
        rows_per_second=rows_per_second,
        prepare=lambda: None,
        run=run,
        counts=False,
        reads_again=True,
    )


FETCH_ONLY: Final = _limit("fetch-only", Reads.FRAMES, 20_000_000)
DECODE_ONLY: Final = _limit("decode-only", Reads.FRAMES, 5_000_000)
ENCODE: Final = _limit("encode", Reads.ROWS, 150_000)
