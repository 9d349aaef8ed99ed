"""Rates, increases and quantiles of many series at a time, as Prometheus makes them of one.

A window ends with a series' newest sample, that is included, and begins before its first. Staleness markers within it
are passed over. A window of which at most `CELLS` samples are kept holds one sample of each cell of time: where a
series has no more than that, results are Prometheus's; of denser ones, a reset between two samples of one cell that
the counter has made up for by its end is not seen.

Source: `extrapolatedRate` and `quantile` of Prometheus's promql/functions.go and promql/quantile.go (3.x).
"""

from typing import Final

import numpy as np

from abdrift.signals.samples import STALE_NAN
from streams.levels.rings import Bools, Floats, Kept
from streams.rates.packing import Ints

CELLS: Final = 32
_LAST: Final = np.iinfo(np.int64).max
_EXTRAPOLATED: Final = 1.1
"""A gap to the window's edge of up to so many mean intervals is bridged whole, a longer one by half an interval."""


def width_ms(window_ms: int) -> int:
    """Return a cell's width, so that a window and the sample that ends it lie within `CELLS` cells."""
    return max(1, -(-window_ms // (CELLS - 1)))


class Window:
    """The samples of each row's window, put together at the left, in order of time."""

    def __init__(self, kept: Kept, windows_ms: Ints) -> None:
        newest_ms = kept.times_ms.max(axis=1)
        inside = (kept.times_ms > (newest_ms - windows_ms)[:, None]) & (kept.bits != STALE_NAN)
        order = np.argsort(np.where(inside, kept.times_ms, _LAST), axis=1)
        self.count: Ints = inside.sum(axis=1)
        self.times_ms: Ints = np.take_along_axis(kept.times_ms, order, axis=1)
        self.values: Floats = np.take_along_axis(kept.values, order, axis=1)
        self.is_there: Bools = np.arange(kept.times_ms.shape[1]) < self.count[:, None]
        self.begins_ms: Ints = newest_ms - windows_ms
        self.ends_ms: Ints = newest_ms
        self.seconds: Floats = windows_ms / 1000

    def quantiles(self, wanted: Floats) -> Floats:
        """Return each row's quantile; NaN where it has no sample. A sample that is NaN does not count."""
        values = np.sort(np.where(self.is_there, self.values, np.nan), axis=1)
        count = (~np.isnan(values)).sum(axis=1)
        rank = wanted * (count - 1)
        lower = np.clip(np.floor(rank), 0, None).astype(np.int64)
        upper = np.clip(lower + 1, 0, np.maximum(count - 1, 0))
        weight = rank - np.floor(rank)
        rows = np.arange(len(values))
        with np.errstate(invalid="ignore"):
            found = values[rows, lower] * (1 - weight) + values[rows, upper] * weight
        return np.where(count > 0, found, np.nan)

    def increases(self) -> Floats:
        """Return each row's increase over its window, resets made good; NaN where it has fewer than two samples."""
        rows = np.arange(len(self.values))
        last = np.maximum(self.count - 1, 0)
        first_value, last_value = self.values[:, 0], self.values[rows, last]
        with np.errstate(invalid="ignore", divide="ignore"):
            increase = last_value - first_value
            is_reset = self.is_there[:, 1:] & (self.values[:, 1:] < self.values[:, :-1])
            increase += np.where(is_reset, self.values[:, :-1], 0.0).sum(axis=1)
            sampled = (self.times_ms[rows, last] - self.times_ms[:, 0]) / 1000
            found = increase * self._extrapolation(increase, first_value, sampled, self.times_ms[rows, last])
        return np.where(self.count > 1, found, np.nan)

    def rates(self) -> Floats:
        """Return each row's increase a second."""
        return self.increases() / self.seconds

    def _extrapolation(self, increase: Floats, first_value: Floats, sampled: Floats, last_ms: Ints) -> Floats:
        """Return by how much a window is longer than from its first sample to its last, edges guessed."""
        mean = sampled / (self.count - 1)
        to_start = (self.times_ms[:, 0] - self.begins_ms) / 1000
        to_start = np.where(to_start >= mean * _EXTRAPOLATED, mean / 2, to_start)
        # A counter was never below 0, so it began no earlier than where its slope meets that.
        to_zero = sampled * (first_value / increase)
        to_start = np.where((increase > 0) & (first_value >= 0) & (to_zero < to_start), to_zero, to_start)
        to_end = (self.ends_ms - last_ms) / 1000
        to_end = np.where(to_end >= mean * _EXTRAPOLATED, mean / 2, to_end)
        extrapolation: Floats = (sampled + to_start + to_end) / sampled
        return extrapolation
