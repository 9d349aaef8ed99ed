"""Local copies that may have missed deletions are not used."""

import os
from pathlib import Path

import pytest

from streams.preparation import STALE_SECONDS, drop_if_stale

NOW = 1_000_000_000.0


@pytest.mark.parametrize(
    ("ages", "dropped"),
    [
        pytest.param([60.0], False, id="fresh"),
        pytest.param([STALE_SECONDS * 9.0, 60.0], False, id="one-file-fresh"),
        pytest.param([STALE_SECONDS + 1.0, STALE_SECONDS + 2.0], True, id="stale"),
        pytest.param([], True, id="empty"),
    ],
)
def test_a_copy_is_dropped_by_its_newest_file(tmp_path: Path, ages: list[float], dropped: bool) -> None:
    copy = tmp_path / "state-0.db"
    copy.mkdir()
    for index, age in enumerate(ages):
        file = copy / f"{index}.sst"
        file.touch()
        os.utime(file, (NOW - age, NOW - age))
    assert drop_if_stale(copy, NOW) is dropped
    assert copy.exists() is not dropped


def test_where_there_is_no_copy_there_is_nothing_to_drop(tmp_path: Path) -> None:
    assert not drop_if_stale(tmp_path / "absent", NOW)
