"""The newest samples of many series, a row each: at most one of each cell of time.

A cell is as long as a row's width says; a row keeps the cells up to its newest sample's, and of each the newest
sample. So what is kept is the same in whichever order samples came, and however often. Values stand by their bits,
which tell Prometheus's staleness marker from any other NaN.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from abdrift.signals.samples import STALE_NAN
from streams.rates.packing import Ints
from streams.rates.windows import grown

_LEAST_ROWS: Final = 1 << 8
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of some rows: columns of one length."""

    rows: Ints
    times_ms: Ints
    bits: Ints

    def chosen(self, which: Bools) -> "Samples":
        """Return some of them."""
        return Samples(self.rows[which], self.times_ms[which], self.bits[which])


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of some rows, in no order along each: 0 stands where there is none."""

    times_ms: Ints
    bits: Ints

    @property
    def values(self) -> Floats:
        """The samples' values."""
        return self.bits.view(np.float64)


class Ring:
    """Samples by row and cell. It grows with the rows in use."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.times_ms: Ints = np.zeros((_LEAST_ROWS, cells), dtype=np.int64)
        self.bits: Ints = np.zeros((_LEAST_ROWS, cells), dtype=np.int64)
        self.newest_ms: Ints = np.zeros(_LEAST_ROWS, dtype=np.int64)
        self.widths_ms: Ints = np.ones(_LEAST_ROWS, dtype=np.int64)

    def reserve(self, rows: int) -> None:
        """Have room for so many rows."""
        if rows > len(self.newest_ms):
            self.times_ms, self.bits = grown(self.times_ms, rows), grown(self.bits, rows)
            self.newest_ms, self.widths_ms = grown(self.newest_ms, rows), grown(self.widths_ms, rows)

    def put(self, samples: Samples) -> None:
        """Take samples, whose times are above 0, in. Of two of one time the one with the larger bits is kept."""
        rows, times_ms, bits = samples.rows, samples.times_ms, samples.bits
        np.maximum.at(self.newest_ms, rows, times_ms)
        widths_ms = self.widths_ms[rows]
        cells = times_ms // widths_ms
        kept = cells > self.newest_ms[rows] // widths_ms - self.cells
        if not kept.all():
            rows, times_ms, bits, cells = rows[kept], times_ms[kept], bits[kept], cells[kept]
        places = rows * self.cells + cells % self.cells
        chosen = _newest(places, times_ms, bits)
        places, times_ms, bits = places[chosen], times_ms[chosen], bits[chosen]
        all_times_ms, all_bits = self.times_ms.reshape(-1), self.bits.reshape(-1)
        before_ms = all_times_ms[places]
        newer = (times_ms > before_ms) | ((times_ms == before_ms) & (bits > all_bits[places]))
        all_times_ms[places[newer]], all_bits[places[newer]] = times_ms[newer], bits[newer]

    def take(self, rows: Ints) -> Kept:
        """Return what is kept of rows, in this order."""
        widths_ms = self.widths_ms[rows]
        # What lies before the oldest cell is of an earlier lap.
        begin_ms = (self.newest_ms[rows] // widths_ms - self.cells + 1) * widths_ms
        times_ms, bits = self.times_ms.take(rows, axis=0), self.bits.take(rows, axis=0)
        times_ms *= times_ms >= begin_ms[:, None]
        return Kept(times_ms, bits)

    def have_ended(self, rows: Ints) -> Bools:
        """Return whose newest sample is Prometheus's staleness marker."""
        newest_ms = self.newest_ms[rows]
        cells = newest_ms // self.widths_ms[rows] % self.cells
        ended: Bools = (self.bits[rows, cells] == STALE_NAN) & (newest_ms > 0)
        return ended

    def clear(self, rows: Ints) -> None:
        """Leave rows as if they had never been used."""
        self.times_ms[rows], self.bits[rows], self.newest_ms[rows], self.widths_ms[rows] = 0, 0, 0, 1


def _newest(places: Ints, times_ms: Ints, bits: Ints) -> Ints | slice:
    """Return which samples are the newest of their places."""
    ascending = np.sort(places)
    if not (ascending[1:] == ascending[:-1]).any():
        return slice(None)
    order = np.lexsort((bits, times_ms, places))
    ascending = places[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = ascending[1:] != ascending[:-1]
    chosen: Ints = order[last]
    return chosen
