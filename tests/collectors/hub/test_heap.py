from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from collectors.hub.heap import Heap

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()
    gc.unfreeze()


def test_what_stays_is_set_aside_as_it_grows(clock: Clock) -> None:
    heap = Heap(clock)
    assert [heap.settle(size) for size in (0, 100, 105, 110, 111, 100)] == [False, True, False, False, True, False]
    assert gc.get_freeze_count() > 0


def test_garbage_of_clusters_that_left_is_found_again_but_not_all_the_time(clock: Clock) -> None:
    heap = Heap(clock)
    heap.settle(100)
    heap.let_go()
    assert not heap.settle(100)
    clock.seconds = 3_600
    assert heap.settle(100)
    clock.seconds = 7_200
    assert not heap.settle(100)
