"""Each workload's newest minutes and its usual rate, by slot: how they move on, take Warnings in, and are judged.

A chatty workload is not ill for being itself: a minute that leaves the kept ones teaches the usual rate, and unusual
is what exceeds it. Numbers are whole, so that moving on minute by minute or many at once comes to the same.

What is known of a slot lies in one row of 64 bytes, a line of the processor's cache: with a million workloads, finding
a row costs more than all that is done with it. So rows are taken out together, worked on, and put back.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streams.rates.packing import Ints

KEPT_MINUTES: Final = 8
"""A Warning older than these, by its cluster's newest one, is late. A power of two."""
WINDOW_MINUTES: Final = 5
AT_LEAST: Final = 5
FACTOR: Final = 3
USUAL_UNIT: Final = 1024
"""A usual rate of one Warning a minute."""
_FORGETTING: Final = 20
"""Each past minute moves the usual rate by one part in so many: half of it is forgotten in about 14 minutes."""
_SPENT: Final = USUAL_UNIT // 100
_MOST: Final = (1 << 32) - 1

_COUNTS: Final = slice(0, KEPT_MINUTES // 2)
_USUAL, _STAMP, _MINUTE = 4, 5, 6
_COLUMNS: Final = 8

_IN_WINDOW: Final = np.array(
    [[(now - at) % KEPT_MINUTES < WINDOW_MINUTES for at in range(KEPT_MINUTES)] for now in range(KEPT_MINUTES)]
)
"""By a minute and a place of the ring, both modulo its length: whether that place is within the minute's window."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of some workloads: views of one table, a row each."""

    table: Ints

    @property
    def counts(self) -> npt.NDArray[np.uint32]:
        """Warnings by minute modulo `KEPT_MINUTES`."""
        return self.table[:, _COUNTS].view(np.uint32)

    @property
    def usual(self) -> Ints:
        """Per minute, in `USUAL_UNIT`s."""
        return self.table[:, _USUAL]

    @property
    def stamp(self) -> Ints:
        """The newest Warning's: event time and tag of its reason."""
        return self.table[:, _STAMP]

    @property
    def minute(self) -> Ints:
        """The newest minute kept; 0 of a workload that nothing is known of."""
        return self.table[:, _MINUTE]

    def advance(self, to: Ints) -> None:
        """Move on to these minutes, where they are later; minutes that leave teach the usual rate."""
        minute, usual, counts = self.minute, self.usual, self.counts
        new = minute == 0
        minute[new] = to[new]
        going = np.flatnonzero(minute < to)
        passed = 0
        while len(going):
            minute[going] += 1
            # The minute that leaves has the place of the one that comes.
            leaving = minute[going] % KEPT_MINUTES
            learned = usual[going]
            learned += (counts[going, leaving] * np.int64(USUAL_UNIT) - learned) // _FORGETTING
            # Next to nothing is nothing, so that a workload of which nothing is left is like a new one.
            usual[going] = learned = np.where(learned < _SPENT, 0, learned)
            counts[going, leaving] = 0
            passed += 1
            if passed >= KEPT_MINUTES:
                # Of nothing counted and nothing usual, nothing comes however many minutes go by.
                still = going[learned == 0]
                minute[still] = to[still]
            going = going[minute[going] < to[going]]

    def add(self, rows: Ints, minutes: Ints, warnings: Ints) -> None:
        """Count Warnings in minutes that are kept; each row and minute is given once."""
        counts, places = self.counts, minutes % KEPT_MINUTES
        counts[rows, places] = np.minimum(counts[rows, places] + warnings, _MOST)

    @property
    def recent(self) -> Ints:
        """The Warnings within each window."""
        summed: Ints = np.einsum("ij,ij->i", self.counts, _IN_WINDOW[self.minute % KEPT_MINUTES], dtype=np.int64)
        return summed

    def are_unusual(self, recent: Ints) -> npt.NDArray[np.bool_]:
        """Return which windows, with so many Warnings within, hold more than the usual rate explains."""
        judged: npt.NDArray[np.bool_] = recent * USUAL_UNIT >= FACTOR * WINDOW_MINUTES * self.usual
        judged &= recent >= AT_LEAST
        return judged

    @property
    def are_spent(self) -> npt.NDArray[np.bool_]:
        """Which are like new ones."""
        spent: npt.NDArray[np.bool_] = ~self.table[:, _COUNTS].any(axis=1) & (self.usual == 0)
        return spent


class Windows:
    """What is known of each workload, by slot.

    All slots are reserved, which takes addresses only: the system gives memory to those that are written to. Growing
    would copy all there is, again and again.
    """

    def __init__(self, slots: int) -> None:
        """`slots` is how many there may be."""
        self.table: Ints = np.zeros((slots, _COLUMNS), dtype=np.int64)
        self.unusual: npt.NDArray[np.uint8] = np.zeros(slots, dtype=np.uint8)
        """As it was said last. Apart, since all of it is looked through."""

    def take(self, slots: Ints) -> Rows:
        """Return a copy of rows, in this order."""
        return Rows(self.table.take(slots, axis=0))

    def put(self, slots: Ints, rows: Rows) -> None:
        """Put rows back; each slot is given once."""
        self.table[slots] = rows.table

    def clear(self, slots: Ints) -> None:
        """Leave slots as if they had never been used."""
        self.table[slots] = 0
        self.unusual[slots] = 0


def grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return the array, or a larger one that begins with it and goes on with zeros."""
    if size <= len(array):
        return array
    larger = np.zeros((max(size, len(array) + len(array) // 4), *array.shape[1:]), dtype=array.dtype)
    larger[: len(array)] = array
    return larger
