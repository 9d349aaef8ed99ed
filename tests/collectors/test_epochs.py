from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collectors.epochs import next_epoch

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "kubernetes/edge-0042"


@pytest.mark.parametrize(
    ("clock_ms", "epochs"),
    [
        pytest.param([1000, 2000], [1000, 2000], id="time goes on"),
        pytest.param([1000, 1000, 1000], [1000, 1001, 1002], id="within a millisecond"),
        pytest.param([5000, 100], [5000, 5001], id="the clock went back"),
    ],
)
def test_each_start_is_above_those_before(tmp_path: Path, clock_ms: list[int], epochs: list[int]) -> None:
    assert [next_epoch(SOURCE, tmp_path / "state", lambda now=now: now) for now in clock_ms] == epochs


def test_without_a_folder_it_is_the_time() -> None:
    assert next_epoch(SOURCE, None, lambda: 1000) == 1000


def test_sources_count_apart(tmp_path: Path) -> None:
    assert [next_epoch(source, tmp_path, lambda: 5) for source in ("kubernetes/a", "kubernetes/b")] == [5, 5]


def test_a_damaged_file_names_itself_and_the_way_out(tmp_path: Path) -> None:
    next_epoch(SOURCE, tmp_path, lambda: 5)
    (stored,) = tmp_path.iterdir()
    stored.write_text("five")
    with pytest.raises(ValueError, match=r"edge-0042.epoch holds no epoch .*delete it"):
        next_epoch(SOURCE, tmp_path, lambda: 6)
