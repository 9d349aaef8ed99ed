"""One partition's state, and the two ways it changes: sums are taken in, and a beat ends.

Taking in only adds up. What it comes to is settled when a beat of append time is over: totals and windows are
brought up to date, workloads judged, and what is old let go. Both are functions of the state and what they are given,
so the changelog keeps just that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streams.rates import keys
from streams.rates.counting import BEAT_MS
from streams.rates.index import Index
from streams.rates.packing import Ints
from streams.rates.sequences import Sequences
from streams.rates.sums import Heard, Moments, Places, Sums, added, chosen, heard_added, moments_in_parts, places_added
from streams.rates.vocabulary import MAX_CLUSTERS, Vocabulary
from streams.rates.windows import KEPT_MINUTES, USUAL_UNIT, WINDOW_MINUTES, Windows, grown

MAX_PLACES: Final = 1 << 17
MAX_WINDOWS: Final = 1 << 20
"""Workloads of which Warnings are remembered; a partition's arrays take at most 90 MB for them."""
QUIET_MS: Final = WINDOW_MINUTES * keys.MINUTE_MS
"""A cluster without Warnings for so long has none that are unusual, wherever its event time stands still."""
FORGOTTEN_MS: Final = 24 * 3_600_000
"""A cluster without Events for so long is forgotten, with its totals."""
_SWEPT: Final = 1 << 12
"""Slots that are looked through, each beat, for workloads of which nothing is left."""
_MOST_WAITING: Final = 1 << 20
_JUDGED: Final = 1 << 13
"""Minutes of workloads, or workloads, are judged so many at a time, as the processor's cache holds the windows of."""
_NONE: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Touched:
    """Workloads with new Warnings: slots and newest stamps; and by row of these, ascending, Warnings in minutes."""

    slots: Ints
    stamps: Ints
    rows: Ints
    minutes: Ints
    warnings: Ints

    @classmethod
    def without_warnings(cls, slots: Ints) -> "_Touched":
        """Return workloads that are to be judged though nothing new is known of them."""
        return cls(slots, np.zeros(len(slots), dtype=np.int64), _NONE, _NONE, _NONE)


@dataclass(frozen=True, slots=True)
class Changes:
    """Workloads that became unusual or usual again: columns of one length."""

    workloads: Ints
    unusual: npt.NDArray[np.bool_]
    warnings: Ints
    """Within the window."""
    usual_per_minute: npt.NDArray[np.float64]
    stamps: Ints

    @classmethod
    def joined(cls, parts: Sequence["Changes"]) -> "Changes":
        """Return several together."""
        if not parts:
            return cls(_NONE, _NONE.astype(bool), _NONE, _NONE.astype(np.float64), _NONE)
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


class State:
    """What is known of one partition. Words are numbers of its vocabulary throughout."""

    def __init__(self, belongs: Callable[[str], bool], max_windows: int = MAX_WINDOWS) -> None:
        self.vocabulary = Vocabulary(belongs)
        self.sequences = Sequences()
        self.beat = 0
        """Append time, in beats, of what waits to be settled, or was settled last."""
        self.minute = 0
        """Append time, in minutes, up to which it is settled."""
        self.settled = 0
        """How many beats were settled."""
        self.began = 0
        """The first beat that was settled: the epoch of what is said."""
        self.said = 0
        """Frames said so far: the sequence of the next."""
        self.counters: dict[str, int] = {}
        """Events not counted, and frames dropped, by reason."""
        self.waiting: list[Sums] = []
        self.places = Index(MAX_PLACES)
        self.sums: Ints = np.zeros((1 << 10, 2), dtype=np.int64)
        """By place: Events and Warnings."""
        self.workloads = Index(max_windows)
        self.windows = Windows(max_windows)
        self.clock: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)
        """By cluster: the minute of its newest Warning. Only Warnings move it."""
        self.heard_ms: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)
        self.warned_ms: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)
        self.is_quiet: npt.NDArray[np.bool_] = np.zeros(MAX_CLUSTERS, dtype=bool)
        self.late: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)
        self.ahead: Ints = np.zeros(MAX_CLUSTERS, dtype=np.int64)

    def is_due(self, beat: int) -> bool:
        """Whether a record of this beat ends the present one: something waits, or a new minute begins."""
        return (bool(self.waiting) and beat > self.beat) or beat * BEAT_MS // keys.MINUTE_MS > self.minute

    def take(self, sums: Sums, beat: int) -> None:
        """Take in what rows of one beat add up to; whatever waits is of the same beat."""
        self.beat = max(beat, self.beat)
        for reason, count in sums.refused.items():
            self.count(reason, count)
        if not len(sums.heard.clusters):
            return
        self.waiting.append(sums)
        if len(self.waiting) > 1 and sum(len(one.moments.keys) for one in self.waiting) > _MOST_WAITING:
            self.waiting = [added(self.waiting)]

    def count(self, reason: str, count: int) -> None:
        """Count what is passed over."""
        if count:
            self.counters[reason] = self.counters.get(reason, 0) + count

    def settle(self, beat: int) -> Changes:
        """End the beats before this one. Return which workloads changed."""
        runs, self.waiting = self.waiting, []
        now_ms = beat * BEAT_MS
        moved = self._hear(heard_added([run.heard for run in runs]), now_ms)
        self._add_places(places_added([run.places for run in runs]))
        changes = self._judge([run.moments for run in runs], moved)
        self._sweep()
        if now_ms // keys.MINUTE_MS > self.minute:
            self._forget(now_ms)
        self.minute = now_ms // keys.MINUTE_MS
        self.beat = beat
        self.began = self.began or beat
        self.settled += 1
        return changes

    def _hear(self, heard: Heard, now_ms: int) -> npt.NDArray[np.bool_]:
        """Move clusters' clocks on; return for each cluster whether its workloads are to be judged anew."""
        there = heard.clusters
        clock = self.clock.copy()
        self.clock[there] = np.maximum(self.clock[there], heard.event_ms // keys.MINUTE_MS)
        self.heard_ms[there] = np.maximum(self.heard_ms[there], heard.heard_ms)
        self.warned_ms[there] = np.maximum(self.warned_ms[there], heard.warned_ms)
        self.ahead[there] += heard.ahead
        self.count("ahead", int(heard.ahead.sum()))
        was_quiet = self.is_quiet
        self.become_quiet(now_ms)
        moved: npt.NDArray[np.bool_] = (clock != self.clock) | (was_quiet != self.is_quiet)
        return moved

    def become_quiet(self, now_ms: int) -> None:
        """Note which clusters had no Warnings for long; derived, so that it is not kept."""
        self.is_quiet = self.warned_ms < now_ms - QUIET_MS

    def _add_places(self, places: Places) -> None:
        slots = _slots(self.places, places.keys)
        there = slots >= 0
        self.count("places-full", int(places.events[~there].sum()))
        self.sums = grown(self.sums, self.places.used)
        self.sums[slots[there]] += np.stack([places.events[there], places.warnings[there]], axis=1)

    def _kept(self, moments: Moments, newest: int) -> "_Touched":
        """Return the Warnings that are not late and whose workloads have slots; count the others."""
        minutes = keys.minutes(moments.keys, newest)
        workloads = keys.workloads_of(moments.keys)
        clusters = keys.cluster_of(workloads)
        late = minutes <= self.clock[clusters] - KEPT_MINUTES
        if late.any():
            np.add.at(self.late, clusters[late], moments.warnings[late])
            self.count("late", int(moments.warnings[late].sum()))
            workloads, minutes, moments = workloads[~late], minutes[~late], chosen(moments, ~late)
        if not len(workloads):
            return _Touched(workloads, workloads, workloads, workloads, workloads)
        first = np.concatenate([[True], workloads[1:] != workloads[:-1]])
        begins = np.flatnonzero(first)
        slots = _slots(self.workloads, workloads[begins])
        stamps = np.maximum.reduceat(moments.stamps, begins)
        rows, warnings = np.cumsum(first) - 1, moments.warnings
        there = slots >= 0
        if not there.all():
            of_slots = there[rows]
            self.count("workloads-full", int(warnings[~of_slots].sum()))
            rows, minutes, warnings = (np.cumsum(there) - 1)[rows[of_slots]], minutes[of_slots], warnings[of_slots]
            slots, stamps = slots[there], stamps[there]
        return _Touched(slots, stamps, rows, minutes, warnings)

    def _clock_of(self, slots: Ints) -> Ints:
        clocks: Ints = self.clock[keys.cluster_of(self.workloads.key_of(slots))]
        return clocks

    def _judge(self, runs: Sequence[Moments], moved: npt.NDArray[np.bool_]) -> Changes:
        """Judge the workloads that have new Warnings, and unusual ones whose time has gone on."""
        newest = self.beat * BEAT_MS // keys.MINUTE_MS + 2
        going_on = self._going_on(moved)
        judged = []
        for moments in moments_in_parts(runs, _JUDGED):
            touched = self._kept(moments, newest)
            judged.append(self._judge_some(touched))
            going_on[touched.slots[touched.slots < len(going_on)]] = False
        left = np.flatnonzero(going_on)
        some = (left[first : first + _JUDGED] for first in range(0, len(left), _JUDGED))
        return Changes.joined([*judged, *(self._judge_some(_Touched.without_warnings(slots)) for slots in some)])

    def _judge_some(self, touched: "_Touched") -> Changes:
        """Lay Warnings into their windows, and tell which workloads are judged otherwise than before."""
        windows, slots = self.windows, touched.slots
        workloads = self.workloads.key_of(slots)
        clusters = keys.cluster_of(workloads)
        rows = windows.take(slots)
        rows.advance(self.clock[clusters])
        rows.add(touched.rows, touched.minutes, touched.warnings)
        np.maximum(rows.stamp, touched.stamps, out=rows.stamp)
        windows.put(slots, rows)
        recent = rows.recent
        judged = rows.are_unusual(recent) & ~self.is_quiet[clusters]
        changed = np.flatnonzero(judged != (windows.unusual[slots] != 0))
        windows.unusual[slots[changed]] = judged[changed]
        usual = rows.usual[changed] / USUAL_UNIT
        return Changes(workloads[changed], judged[changed], recent[changed], usual, rows.stamp[changed])

    def _going_on(self, moved: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return by slot in use which workloads are unusual and of clusters whose clocks have moved."""
        going: npt.NDArray[np.bool_] = self.windows.unusual[: self.workloads.used] != 0
        slots = np.flatnonzero(going)
        going[slots] = moved[keys.cluster_of(self.workloads.key_of(slots))]
        return going

    def _sweep(self) -> None:
        """Let go of workloads of which nothing is left, among some slots each beat."""
        first = self.settled * _SWEPT % self.workloads.capacity
        slots = np.arange(first, min(first + _SWEPT, self.workloads.used))
        slots = slots[self.workloads.key_of(slots) >= 0]
        slots = slots[self.windows.unusual[slots] == 0]
        rows = self.windows.take(slots)
        rows.advance(self._clock_of(slots))
        self.windows.put(slots, rows)
        self._remove(slots[rows.are_spent])

    def _forget(self, now_ms: int) -> None:
        """Let go of clusters that went away, and of words that nothing needs where they grow many."""
        gone = np.flatnonzero((self.heard_ms > 0) & (self.heard_ms < now_ms - FORGOTTEN_MS))
        if len(gone):
            self._forget_clusters(gone)
        words = self.vocabulary
        if len(words.namespaces) > words.namespaces.capacity * 7 // 8:
            places = self.places.keys
            words.keep_only(words.namespaces, keys.namespace_of_place(places[places >= 0]))
        if len(words.workloads) > words.workloads.capacity * 7 // 8:
            known = self.workloads.keys
            words.keep_only(words.workloads, keys.label_of(known[known >= 0]))

    def _forget_clusters(self, gone: Ints) -> None:
        slots = self.workloads.slots()
        self._remove(slots[np.isin(keys.cluster_of(self.workloads.key_of(slots)), gone)])
        slots = self.places.slots()
        slots = slots[np.isin(keys.cluster_of_place(self.places.key_of(slots)), gone)]
        self.places.remove(slots)
        self.sums[slots] = 0
        for column in self.of_clusters():
            column[gone] = 0
        self.vocabulary.clusters.release(gone.tolist())
        self.count("clusters-forgotten", len(gone))

    def _remove(self, slots: Ints) -> None:
        self.workloads.remove(slots)
        self.windows.clear(slots)

    def of_clusters(self) -> tuple[npt.NDArray[np.int64], ...]:
        """Return the arrays that stand by cluster."""
        return self.clock, self.heard_ms, self.warned_ms, self.late, self.ahead

    @property
    def size_bytes(self) -> int:
        """About what the state takes in the changelog, where what waits for its beat is as large as in deltas."""
        words = len(self.vocabulary.workloads) + len(self.vocabulary.namespaces) + len(self.vocabulary.clusters)
        waiting = sum(len(sums.moments.keys) for sums in self.waiting)
        return 24 * self.workloads.used + 12 * self.places.used + 40 * words + 14 * waiting


def _slots(index: Index, wanted: Ints) -> Ints:
    """Return the slots of keys, each given once; those that have none get one while there is room, else -1."""
    slots = index.find(wanted)
    new = np.flatnonzero(slots < 0)
    if len(new):
        slots[new] = index.insert(wanted[new])
    return slots
