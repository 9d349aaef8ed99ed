"""Rates, increases and quantiles are Prometheus's: of plain cases, and of any by a naive reading of its source."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from streams.levels.functions import CELLS, Window, width_ms
from streams.levels.rings import Ring, Samples
from tests.streams.levels.oracle import bits_of, increase, quantile
from tests.streams.levels.story import STALE, T0

MINUTE_MS = 60_000


def window(values: list[float], step_ms: int, window_ms: int) -> Window:
    """Return the window over one series, its newest value at T0."""
    ring = Ring(CELLS)
    ring.widths_ms[0] = width_ms(window_ms)
    times = T0 - step_ms * np.arange(len(values))[::-1]
    bits = np.array([bits_of(value) for value in values], dtype=np.int64)
    ring.put(Samples(np.zeros(len(values), dtype=np.int64), times, bits))
    return Window(ring.take(np.array([0])), np.array([window_ms]))


# Each window begins just before its first sample.
INCREASES = [
    pytest.param([0, 10, 20, 30, 40, 50], 50, id="steady"),
    pytest.param([0, 10, 20, 30, 0, 10], 40, id="reset"),
    pytest.param([0, 10, 10, 10, 10, 10], 10, id="stops"),
    pytest.param([0, 0, 0, 0, 0, 0], 0, id="never-moves"),
]


@pytest.mark.parametrize(("values", "found"), INCREASES)
def test_an_increase_over_a_whole_window(values: list[float], found: float) -> None:
    taken = window([float(value) for value in values], 5 * MINUTE_MS, 25 * MINUTE_MS + 1)
    assert taken.increases()[0] == pytest.approx(found)
    assert taken.rates()[0] == pytest.approx(found / (25 * 60))


def test_a_counter_began_no_earlier_than_at_zero() -> None:
    assert window([1.0, 3.0], 15_000, MINUTE_MS).increases()[0] == pytest.approx(3.0)


def test_one_sample_makes_no_rate() -> None:
    assert math.isnan(window([5.0], 15_000, MINUTE_MS).rates()[0])
    assert math.isnan(window([5.0, STALE], 15_000, MINUTE_MS).rates()[0])


QUANTILES = [
    pytest.param([0.0, 1.0, 2.0, 3.0], 0.5, 1.5, id="between"),
    pytest.param([4.0, 1.0], 0.0, 1.0, id="least"),
    pytest.param([4.0, 1.0], 1.0, 4.0, id="most"),
    pytest.param([4.0, STALE, float("nan")], 0.5, 4.0, id="what-is-no-number-does-not-count"),
]


@pytest.mark.parametrize(("values", "wanted", "found"), QUANTILES)
def test_a_quantile(values: list[float], wanted: float, found: float) -> None:
    assert window(values, 2_000, MINUTE_MS).quantiles(np.array([wanted]))[0] == found


def test_of_no_samples_there_is_no_quantile() -> None:
    assert math.isnan(window([STALE], 1_000, MINUTE_MS).quantiles(np.array([0.5]))[0])


@pytest.mark.parametrize("seed", range(20))
def test_any_series_comes_to_what_the_naive_reading_says(seed: int) -> None:
    rng = random.Random(seed)
    values = [float(rng.randrange(50)) for _ in range(rng.randrange(1, 30))]
    step_ms, window_ms = rng.choice([10_000, 15_000, 60_000]), 5 * MINUTE_MS
    taken = window(values, step_ms, window_ms)
    times = [T0 - step_ms * back for back in range(len(values))][::-1]
    points = [(t, v) for t, v in zip(times, values, strict=True) if t > T0 - window_ms]
    expected = increase(points, T0 - window_ms, T0)
    assert taken.increases()[0] == pytest.approx(math.nan if expected is None else expected, nan_ok=True)
    assert taken.quantiles(np.array([0.9]))[0] == pytest.approx(quantile(0.9, [v for _, v in points]))
