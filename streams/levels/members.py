"""Series under rules: their samples, how long they have been above their thresholds, and what that comes to.

A series that two rules select is two members. A member is judged at its newest sample, when one comes; and as
Prometheus does, one that is five minutes behind the clock is not judged at all. `NORMAL` series that fall silent just
stay so; one that was above its threshold is `SILENT` until it is heard or forgotten.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from streams.levels.groups import FIRING, NORMAL, PENDING, SILENT, Groups
from streams.levels.rings import Bools, Floats, Ring, Samples
from streams.levels.rules import Rules
from streams.rates.packing import Ints
from streams.rates.windows import grown

LOOKBACK_MS: Final = 300_000
"""A newest sample older than this says nothing any more: Prometheus's own default."""
FORGOTTEN_MS: Final = 3_600_000
"""A series without a sample for so long is forgotten."""
_LEAST: Final = 1 << 8
_NO_RULE: Final = -1
_AT_A_TIME: Final = 1 << 10
_NOTHING: Final[Floats] = np.zeros(0)


class Members:
    """One table of members, by slot: those whose rules need one sample each, or those that need a window."""

    def __init__(self, cells: int, capacity: int) -> None:
        self.capacity = capacity
        self.ring = Ring(cells)
        self.groups = Groups(capacity)
        self.used = 0
        """Slots below this one have had a member."""
        self.rule: Ints = np.full(_LEAST, _NO_RULE, dtype=np.int64)
        """Its number; -1 where a slot is free."""
        self.phase: Ints = np.zeros(_LEAST, dtype=np.int64)
        self.since_ms: Ints = np.zeros(_LEAST, dtype=np.int64)
        """The first sample that was above the threshold without a break; 0 where the newest is not."""
        self.group: Ints = np.zeros(_LEAST, dtype=np.int64)
        self._free: list[int] = []
        """Free slots below `used`, the lowest last."""

    def __len__(self) -> int:
        return self.used - len(self._free)

    def next_slot(self) -> int:
        """Return the slot that a new member gets."""
        return self._free[-1] if self._free else self.used

    def put(self, slot: int, rule: int, width_ms: int, group: int) -> None:
        """Give a free slot to a member. Slots that this leaves out below it are free until they are put."""
        if self._free and self._free[-1] == slot:
            self._free.pop()
        elif slot < self.used:
            self._free.remove(slot)
        else:
            self._free[:0] = range(slot - 1, self.used - 1, -1)
            self.used = slot + 1
            self.reserve(self.used)
        self.rule[slot], self.group[slot] = rule, group
        self.ring.widths_ms[slot] = width_ms

    def reserve(self, slots: int) -> None:
        """Have room for so many slots."""
        size = len(self.rule)
        if slots > size:
            self.rule, self.phase = grown(self.rule, slots), grown(self.phase, slots)
            self.rule[size:] = _NO_RULE
            self.since_ms, self.group = grown(self.since_ms, slots), grown(self.group, slots)
        self.ring.reserve(slots)

    def slots(self) -> Ints:
        """Return the slots that have a member, ascending."""
        return np.flatnonzero(self.rule[: self.used] != _NO_RULE)

    def judge(self, rules: Rules, samples: Samples, now_ms: int) -> Ints:
        """Take samples in, judge their series, and those that fell silent. Return the groups that changed."""
        phase = self.phase[: self.used].copy()
        if len(samples.rows):
            self.ring.put(samples)
            self._judge(rules, np.unique(samples.rows), now_ms)
        self._notice_silence(now_ms)
        changed = np.flatnonzero(phase != self.phase[: self.used])
        return self.groups.move(self.group[changed], phase[changed], self.phase[changed])

    def values(self, rules: Rules, slots: Ints) -> Floats:
        """Return what their rules make of members' samples."""
        # Some at a time: what is worked on then stays in the processor's cache.
        parts = [slots[start : start + _AT_A_TIME] for start in range(0, len(slots), _AT_A_TIME)]
        return np.concatenate([_NOTHING, *(rules.values(self.rule[part], self.ring.take(part)) for part in parts)])

    def firing(self, groups: Ints) -> Ints:
        """Return the slots of the groups' members that fire."""
        slots = np.flatnonzero(self.phase[: self.used] == FIRING)
        return slots[np.isin(self.group[slots], groups)]

    def quieten(self, slots: Ints) -> Ints:
        """Judge members as if they were no more; return the groups that changed."""
        before = self.phase[slots]
        self.phase[slots], self.since_ms[slots] = NORMAL, 0
        return self.groups.move(self.group[slots], before, self.phase[slots])

    def remove(self, slots: Ints) -> None:
        """Free the slots of members that are quiet."""
        self.groups.leave(self.group[slots])
        self.rule[slots], self.group[slots] = _NO_RULE, 0
        self.ring.clear(slots)
        self._free = sorted([*self._free, *slots.tolist()], reverse=True)

    def renumber(self, numbers: Mapping[int, int]) -> None:
        """Give rules other numbers, those of all members among them."""
        slots = self.slots()
        self.rule[slots] = [numbers[old] for old in self.rule[slots].tolist()]

    def forgotten(self, among: Ints, now_ms: int) -> Ints:
        """Return which members had no sample for so long that they are to be forgotten."""
        slots = among[self.rule[among] != _NO_RULE]
        forgotten: Ints = slots[self.ring.newest_ms[slots] < now_ms - FORGOTTEN_MS]
        return forgotten

    def _judge(self, rules: Rules, slots: Ints, now_ms: int) -> None:
        of_rule = self.rule[slots]
        newest_ms = self.ring.newest_ms[slots]
        is_fresh = newest_ms >= now_ms - LOOKBACK_MS
        has_ended = self.ring.have_ended(slots)
        above: Bools = rules.are_exceeded(of_rule, self.values(rules, slots)) & ~has_ended & is_fresh
        since_ms = self.since_ms[slots]
        since_ms = np.where(above, np.where(since_ms > 0, since_ms, newest_ms), 0)
        phase = np.where(newest_ms - since_ms >= rules.for_ms[of_rule], FIRING, PENDING)
        was = self.phase[slots]
        # What comes too late to be judged leaves a silent series what it is.
        quiet = np.where(~is_fresh & ~has_ended & (was >= FIRING), SILENT, NORMAL)
        self.phase[slots] = np.where(above, phase, quiet)
        self.since_ms[slots] = since_ms

    def _notice_silence(self, now_ms: int) -> None:
        slots = np.flatnonzero(self.phase[: self.used])
        newest_ms = self.ring.newest_ms[slots]
        silent = slots[newest_ms < now_ms - LOOKBACK_MS]
        self.since_ms[silent] = 0
        self.phase[silent] = np.where(self.phase[silent] == PENDING, NORMAL, SILENT)
        self.phase[slots[newest_ms < now_ms - FORGOTTEN_MS]] = NORMAL
