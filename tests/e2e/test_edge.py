"""An agent at the edge: what edge.py measures, in short and whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.edge import Load, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.parts]

SHORT = Load(
    workloads=10, objects=50, idle_seconds=1, cut_seconds=4, edits_per_second=5, settle_seconds=3, heartbeat_seconds=2
)
RESIDENT_MB = 96
A_DAY_BYTES = 5_000_000


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(Load(idle_seconds=900, cut_seconds=3_600), marks=[pytest.mark.soak, pytest.mark.timeout(6_000)]),
    ],
)
async def test_an_agent_that_was_cut_off_delivers_everything_in_order(load: Load, tmp_path: Path) -> None:
    figures = await run(load, tmp_path)
    assert figures["edits"] >= load.edits_per_second * load.cut_seconds
    wrong = ("edits_missing", "lanes_with_holes", "objects_out_of_order")
    assert {name: figures[name] for name in wrong} == dict.fromkeys(wrong, 0), figures
    assert min(figures["latest_row_seconds"], figures["said_spooled_seconds"]) >= load.cut_seconds, figures
    assert figures["resident_mb"] <= RESIDENT_MB, figures
    if load is not SHORT:
        assert figures["idle_bytes_per_day"] <= A_DAY_BYTES, figures
