"""Error lines of each workload against all its lines and against its usual rate.

What is unusual is told as `streams.rates` tells it of Warnings, by the same windows. Here minutes go on with append
time for all clusters alike, as levels of metrics do: what comes eight minutes late says nothing of the present.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from abdrift.facts.governance import LogErrors
from streams.levels.lines import Lines
from streams.rates import keys
from streams.rates.index import Index
from streams.rates.packing import Ints
from streams.rates.windows import USUAL_UNIT, Rows, Windows

MAX_WORKLOADS: Final = 1 << 18
_SWEPT: Final = 1 << 12


class Logs:
    """Each workload's newest minutes, by slot: errors, and all lines."""

    def __init__(self, capacity: int = MAX_WORKLOADS) -> None:
        self.workloads = Index(capacity)
        """Keys as `streams.rates.keys.workload` makes them."""
        self.errors = Windows(capacity)
        self.lines = Windows(capacity)
        self.full = 0
        """Lines that there was no room for, since this was last asked."""

    def settle(self, lines: Lines, minute: int, policy: LogErrors) -> Ints:
        """Take lines in, and judge at a minute. Return the slots of workloads that changed, ascending."""
        minutes = keys.minutes(lines.keys, minute)
        of_workload, counted = np.unique(keys.workloads_of(lines.keys), return_inverse=True)
        touched = self._slots(of_workload)
        there = touched[counted] >= 0
        self.full += int(lines.lines[~there].sum())
        rows = (np.cumsum(touched >= 0) - 1)[counted[there]]
        touched = touched[touched >= 0]
        unusual = self.errors.unusual[: self.workloads.used].copy()
        unusual[touched] = 0
        slots = np.concatenate([touched, np.flatnonzero(unusual)])
        errors = self._advanced(self.errors, slots, minute)
        everything = self._advanced(self.lines, slots, minute)
        errors.add(rows, minutes[there], lines.errors[there])
        everything.add(rows, minutes[there], lines.lines[there])
        self.errors.put(slots, errors)
        self.lines.put(slots, everything)
        return np.sort(self._judged(slots, errors, everything, policy))

    def told(self, slots: Ints) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
        """Return workloads' errors and lines within the window, and their usual errors a minute."""
        errors = self.errors.take(slots)
        return errors.recent, self.lines.take(slots).recent, errors.usual / USUAL_UNIT

    def sweep(self, turn: int, minute: int) -> None:
        """Let go of workloads of which nothing is left, among some slots each turn."""
        first = turn * _SWEPT % self.workloads.capacity
        slots = np.arange(first, min(first + _SWEPT, self.workloads.used))
        slots = slots[self.workloads.key_of(slots) >= 0]
        slots = slots[self.errors.unusual[slots] == 0]
        errors, lines = self._advanced(self.errors, slots, minute), self._advanced(self.lines, slots, minute)
        self.errors.put(slots, errors)
        self.lines.put(slots, lines)
        self.remove(slots[errors.are_spent & (lines.recent == 0)])

    def of_clusters(self, clusters: Ints) -> Ints:
        """Return the slots of clusters' workloads."""
        slots = self.workloads.slots()
        found: Ints = slots[np.isin(keys.cluster_of(self.workloads.key_of(slots)), clusters)]
        return found

    def remove(self, slots: Ints) -> None:
        """Free slots."""
        self.workloads.remove(slots)
        self.errors.clear(slots)
        self.lines.clear(slots)

    def _advanced(self, windows: Windows, slots: Ints, minute: int) -> Rows:
        rows = windows.take(slots)
        rows.advance(np.full(len(slots), minute))
        return rows

    def _judged(self, slots: Ints, errors: Rows, lines: Rows, policy: LogErrors) -> Ints:
        recent = errors.recent
        judged = errors.are_unusual(recent) & (recent * 100 >= policy.share_percent * lines.recent)
        judged &= policy.enabled
        changed: Ints = slots[judged != (self.errors.unusual[slots] != 0)]
        self.errors.unusual[slots] = judged
        return changed

    def _slots(self, wanted: Ints) -> Ints:
        slots = self.workloads.find(wanted)
        new = np.flatnonzero(slots < 0)
        if len(new):
            slots[new] = self.workloads.insert(wanted[new])
        return slots
