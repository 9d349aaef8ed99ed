"""Bytes a row on the wire: frames against the same rows as JSON in zstd batches of the same size.

`python -m benchmarks.wire` prints a Markdown table.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cramjam
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from benchmarks.workload import Workload, WorkloadSpec

_SHAPES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("without free text", {}),
    ("with messages", {"messages": True}),
    ("with generated Pod names", {"pod_names": True}),
)
_SIZES: Final = (500, 2_000, 10_000)
_ROWS: Final = 80_000
_ZSTD_LEVEL: Final = 3
"""Of Kafka's Java clients, unless they are told otherwise."""
_BATCH_HEADER_BYTES: Final = 61
_BATCH_LIMIT_BYTES: Final = 1 << 26
_UNCOMPRESSED: Final = 0


@dataclass(frozen=True, slots=True)
class Wire:
    """What rows of one shape take, in bytes a row."""

    shape: str
    rows_per_batch: int
    frames: float
    json: float


def measure() -> Iterator[Wire]:
    """Yield each shape and size in turn."""
    for shape, options in _SHAPES:
        for size in _SIZES:
            workload = Workload(WorkloadSpec(rows=_ROWS, rows_per_frame=size, **options))
            yield Wire(shape, size, frames_bytes(workload), json_bytes(workload))


def frames_bytes(workload: Workload) -> float:
    """Return bytes a row of the workload's frames, headers included."""
    size_bytes = rows = 0
    for _, frame in workload.frames():
        size_bytes += _batch_bytes([(b"", frame.value, list(frame.headers))])
        rows += frame.rows
    return size_bytes / rows


def json_bytes(workload: Workload) -> float:
    """Return bytes a row of the same rows as JSON, a Kafka batch of zstd for each frame's rows."""
    size_bytes = rows = 0
    for _, records in workload.json_events():
        plain = _batch([(key, value, []) for key, value in records])
        size_bytes += _BATCH_HEADER_BYTES + len(
            bytes(cramjam.zstd.compress(plain[_BATCH_HEADER_BYTES:], level=_ZSTD_LEVEL))
        )
        rows += len(records)
    return size_bytes / rows


def _batch_bytes(records: list[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> int:
    return len(_batch(records))


def _batch(records: list[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, _UNCOMPRESSED, 0, -1, -1, -1, _BATCH_LIMIT_BYTES)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 0, key, value, headers)
    return bytes(builder.build())


def main() -> None:
    """Print the table."""
    lines = ["| rows | rows a batch | frames | zstd JSON | frames are |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {one.shape} | {one.rows_per_batch:,} | {one.frames:.2f} | {one.json:.2f} | {one.frames / one.json:.1%} |"
        for one in measure()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
