"""Each workload's newest minutes and its usual rate, by slot: how they move on, take Warnings in, and are judged.

A chatty workload is not ill for being itself: a minute that leaves the kept ones teaches the usual rate, and unusual
is what exceeds it. Numbers are whole, so that moving on minute by minute or many at once comes to the same.
"""

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

_IN_WINDOW: Final = np.array(
    [[(now - at) % KEPT_MINUTES < WINDOW_MINUTES for at in range(KEPT_MINUTES)] for now in range(KEPT_MINUTES)]
)
"""By a minute and a place of the ring, both modulo its length: whether that place is within the minute's window."""


class Windows:
    """What is known of each workload, by slot. Slots of one call are each given once."""

    def __init__(self, capacity: int) -> None:
        self.counts: npt.NDArray[np.uint32] = np.zeros((capacity, KEPT_MINUTES), dtype=np.uint32)
        """By minute modulo their number."""
        self.minute: npt.NDArray[np.int32] = np.zeros(capacity, dtype=np.int32)
        """The newest minute kept."""
        self.usual: Ints = np.zeros(capacity, dtype=np.int64)
        """Per minute, in `USUAL_UNIT`s."""
        self.stamp: Ints = np.zeros(capacity, dtype=np.int64)
        """The newest Warning's: event time and tag of its reason."""
        self.unusual: npt.NDArray[np.uint8] = np.zeros(capacity, dtype=np.uint8)
        """As it was said last."""

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays, each by slot."""
        return self.counts, self.minute, self.usual, self.stamp, self.unusual

    def clear(self, slots: Ints) -> None:
        """Leave slots as if they had never been used."""
        for column in self.columns():
            column[slots] = 0

    def advance(self, slots: Ints, to: Ints) -> None:
        """Move on to these minutes, where they are later; minutes that leave teach the usual rate."""
        late = self.minute[slots] < to
        slots, to = slots[late], to[late]
        left = to - self.minute[slots]
        passed = 0
        while len(slots):
            # The minute that leaves has the place of the one that comes.
            leaving = (self.minute[slots] + 1) % KEPT_MINUTES
            usual = self.usual[slots]
            usual += (self.counts[slots, leaving] * np.int64(USUAL_UNIT) - usual) // _FORGETTING
            # Next to nothing is nothing, so that a workload of which nothing is left is like a new one.
            self.usual[slots] = np.where(usual < _SPENT, 0, usual)
            self.counts[slots, leaving] = 0
            self.minute[slots] += 1
            passed += 1
            going = left > passed
            if passed >= KEPT_MINUTES:
                # Of nothing counted and nothing usual, nothing comes however many minutes go by.
                still = going & (self.usual[slots] == 0)
                self.minute[slots[still]] = to[still]
                going &= ~still
            slots, to, left = slots[going], to[going], left[going]

    def add(self, slots: Ints, minutes: Ints, warnings: Ints) -> None:
        """Count Warnings in minutes that are kept; each slot and minute is given once."""
        places = minutes % KEPT_MINUTES
        self.counts[slots, places] = np.minimum(self.counts[slots, places] + warnings, _MOST)

    def recent(self, slots: Ints) -> Ints:
        """Return the Warnings within each window."""
        within = _IN_WINDOW[self.minute[slots] % KEPT_MINUTES]
        summed: Ints = np.einsum("ij,ij->i", self.counts.take(slots, axis=0).astype(np.int64), within)
        return summed

    def is_unusual(self, slots: Ints) -> npt.NDArray[np.bool_]:
        """Return which windows hold more than the usual rate explains."""
        recent = self.recent(slots)
        explained = FACTOR * WINDOW_MINUTES * self.usual[slots]
        judged: npt.NDArray[np.bool_] = (recent >= AT_LEAST) & (recent * USUAL_UNIT >= explained)
        return judged

    def is_spent(self, slots: Ints) -> npt.NDArray[np.bool_]:
        """Return which are like a new one."""
        spent: npt.NDArray[np.bool_] = ~self.counts[slots].any(axis=1) & (self.usual[slots] == 0)
        spent &= self.unusual[slots] == 0
        return spent
