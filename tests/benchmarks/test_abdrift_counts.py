"""Counts of a state that had to refuse some are not passed off as all."""

import pytest

from benchmarks.abdrift_counts import refuse_what_is_not_all
from benchmarks.measuring import RunError
from streams.rates.state import State


def test_a_state_that_was_full_is_told_of() -> None:
    state = State(lambda _cluster: True, 4)
    state.count("late", 2)
    refuse_what_is_not_all(state)
    state.count("workloads-full", 1_234)
    with pytest.raises(RunError, match=r"workloads-full: 1,234 Events\); take fewer rows"):
        refuse_what_is_not_all(state)
