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


def test_what_survived_a_full_pass_is_set_aside(clock: Clock) -> None:
    heap = Heap(clock)
    assert not heap.settle()
    gc.collect()
    assert heap.settle()
    assert gc.get_freeze_count() > 0
    assert not heap.settle()


def test_garbage_of_clusters_that_left_is_looked_for_but_not_all_the_time(clock: Clock) -> None:
    heap = Heap(clock)
    heap.let_go()
    assert not heap.settle()
    clock.seconds = 3_600
    assert heap.settle()
    clock.seconds = 7_200
    assert not heap.settle()
