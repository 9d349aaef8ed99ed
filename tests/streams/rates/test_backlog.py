"""A worker that reads a backlog of hours keeps its memory, and counts every row of it."""

from __future__ import annotations

import pytest

from benchmarks import engines
from benchmarks.firehose import FirehoseSpec, run

pytestmark = pytest.mark.parts

MIB = 1 << 20


@pytest.mark.parametrize(
    ("rows", "most_mib"),
    [
        pytest.param(2_000_000, 400, id="short"),
        pytest.param(50_000_000, 600, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
def test_memory_stays_bounded_however_much_there_is_to_read(rows: int, most_mib: int) -> None:
    spec = FirehoseSpec(engines=[engines.ABDRIFT], repeats=1, rows=rows, rows_per_frame=(10_000,))
    (series,) = run(spec, lambda _line: None)
    (measured,) = series.runs
    assert measured.rows == rows, "and every count is the oracle's, or the run had failed"
    assert measured.memory_bytes < most_mib * MIB
