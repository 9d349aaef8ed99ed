"""How far a restore has come, and what is told of it."""

from __future__ import annotations

import pytest

from streams.commit import StateError
from streams.restoring import Progress, Standing, spans_to_read

STANDINGS = [
    pytest.param(Standing(0, 400), 0, None, id="nothing-read"),
    pytest.param(Standing(100, 400), 25, 30.0, id="a-quarter"),
    pytest.param(Standing(399, 400), 99, pytest.approx(0.025, abs=0.001), id="all-but-one"),
    pytest.param(Standing(400, 400), 100, 0.0, id="all"),
    pytest.param(Standing(0, 0), 100, None, id="nothing-to-read"),
]


@pytest.mark.parametrize(("standing", "percent", "seconds_left"), STANDINGS)
def test_time_left_follows_the_pace_so_far(standing: Standing, percent: int, seconds_left: float | None) -> None:
    assert standing.percent == percent
    assert standing.seconds_left(10.0) == seconds_left


def test_each_partition_is_counted_from_where_its_copy_ends() -> None:
    progress = Progress({0: range(10, 20), 3: range(5)})
    progress.advance(0, 14, 1_000)
    progress.advance(3, 2, 500)
    assert dict(progress.each()) == {0: Standing(4, 10, 1_000), 3: Standing(2, 5, 500)}
    assert progress.total() == Standing(6, 15, 1_500)
    assert progress.left() == [0, 3]


def test_what_compaction_took_and_what_came_meanwhile_make_it_neither_less_nor_more_than_whole() -> None:
    progress = Progress({0: range(10, 20)})
    progress.advance(0, 12)
    progress.advance(0, 25, 100)
    progress.advance(0, 25)
    assert progress.left() == []
    assert progress.total() == Standing(10, 10, 100)


def test_only_what_a_copy_lacks_is_read() -> None:
    assert spans_to_read({0: 0, 1: 7, 2: 9, 3: 0}, {0: 5, 1: 9, 2: 9, 3: 0}) == {0: range(5), 1: range(7, 9)}


def test_a_copy_of_another_changelog_is_not_used() -> None:
    with pytest.raises(StateError, match=r"partition 1 goes up to offset 9, its changelog to 8.*Delete the local copy"):
        spans_to_read({0: 3, 1: 9}, {0: 3, 1: 8})
