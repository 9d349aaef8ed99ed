"""What `streams.rates` means, row by row and in plain Python: slow, and easy to believe."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abdrift.signals import events
from streams.rates.names import workload_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abdrift.signals.events import EventRow
    from streams.step import Input

MINUTE_MS = 60_000
BEAT_MS = 5_000
Workload = tuple[str, str, str, str]


@dataclass
class Window:
    """One workload's minutes that are kept, and what it was judged."""

    minute: int
    counts: Counter[int] = field(default_factory=Counter)
    usual: int = 0
    newest: tuple[int, int, str] = (0, 0, "")
    unusual: bool = False

    def advance(self, minute: int) -> None:
        while self.minute < minute:
            self.usual += (self.counts.pop(self.minute - 7, 0) * 1024 - self.usual) // 20
            self.usual = 0 if self.usual < 10 else self.usual
            self.minute += 1

    @property
    def recent(self) -> int:
        return sum(self.counts[self.minute - back] for back in range(5))

    @property
    def is_new(self) -> bool:
        return not any(self.counts.values()) and not self.usual and not self.unusual


@dataclass
class Cluster:
    """One cluster's clock, which only Warnings move."""

    clock: int = 0
    heard_ms: int = 0
    warned_ms: int = 0
    late: int = 0
    ahead: int = 0


class Oracle:
    """One partition."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str], list[int]] = {}
        self.clusters: dict[str, Cluster] = {}
        self.windows: dict[Workload, Window] = {}
        self.seen: set[tuple[str, int, int]] = set()
        self.counters: Counter[str] = Counter()
        self.said: list[tuple[int, Workload, bool, int, str]] = []
        self.waiting: list[tuple[EventRow, int]] = []
        self.beat = 0
        self.minute = 0

    def feed(self, inputs: Iterable[Input]) -> Oracle:
        for record in inputs:
            beat = record.append_ms // BEAT_MS
            if (self.waiting and beat > self.beat) or beat * BEAT_MS // MINUTE_MS > self.minute:
                self.settle(beat)
            if record.frame is not None:
                self._take(record, max(record.append_ms, self.beat * BEAT_MS))
        return self

    def settle(self, beat: int) -> None:
        now_ms = beat * BEAT_MS
        waiting, self.waiting = self.waiting, []
        for row, append_ms in waiting:
            self._hear(row, append_ms)
        touched = {about for row, append_ms in waiting if (about := self._add(row, append_ms))}
        self._judge(now_ms, touched)
        if now_ms // MINUTE_MS > self.minute:
            self._forget(now_ms)
        self.minute, self.beat = now_ms // MINUTE_MS, beat

    def portrait(self) -> dict[str, Any]:
        """Return everything that must be the same, in words."""
        for (cluster, *_), window in self.windows.items():
            window.advance(self.clusters[cluster].clock)
        return {
            "totals": {place: tuple(sums) for place, sums in self.totals.items()},
            "windows": {
                about: (dict(+window.counts), window.usual, window.newest[::2], window.unusual)
                for about, window in self.windows.items()
                if not window.is_new
            },
            "clusters": {
                name: (c.clock, c.heard_ms, c.warned_ms, c.late, c.ahead) for name, c in self.clusters.items()
            },
        }

    def _take(self, record: Input, append_ms: int) -> None:
        assert record.frame is not None
        for part in record.frame.parts:
            lane = (part.source, part.epoch, part.sequence)
            if lane in self.seen:
                self.counters["duplicates"] += part.rows
                continue
            self.seen.add(lane)
            rows = events.rows_of(record.frame.batch.slice(part.first_row, part.rows))
            self.waiting += [(row, append_ms) for row in rows if row.count > 0]
            self.beat = max(self.beat, append_ms // BEAT_MS)

    def _hear(self, row: EventRow, append_ms: int) -> None:
        count = row.count
        sums = self.totals.setdefault((row.cluster, row.namespace), [0, 0])
        sums[0] += count
        cluster = self.clusters.setdefault(row.cluster, Cluster())
        cluster.heard_ms = max(cluster.heard_ms, append_ms // BEAT_MS * BEAT_MS)
        if row.type == "Warning":
            sums[1] += count
            cluster.warned_ms = max(cluster.warned_ms, append_ms // BEAT_MS * BEAT_MS)
            if row.last_ms > append_ms + MINUTE_MS:
                cluster.ahead += count
                self.counters["ahead"] += count
            cluster.clock = max(cluster.clock, min(row.last_ms, append_ms + MINUTE_MS) // MINUTE_MS)

    def _add(self, row: EventRow, append_ms: int) -> Workload | None:
        cluster = self.clusters[row.cluster]
        if row.type != "Warning":
            return None
        last_ms = min(row.last_ms, append_ms + MINUTE_MS)
        if last_ms // MINUTE_MS <= cluster.clock - 8:
            cluster.late += row.count
            self.counters["late"] += row.count
            return None
        about = (row.cluster, row.namespace, row.object_kind, workload_of(row.object_kind, row.object_name))
        window = self.windows.setdefault(about, Window(cluster.clock))
        window.advance(cluster.clock)
        window.counts[last_ms // MINUTE_MS] += row.count
        window.newest = max(window.newest, (last_ms, zlib.crc32(row.reason.encode()) & 0xFFFF, row.reason))
        return about

    def _judge(self, now_ms: int, touched: set[Workload]) -> None:
        """Judge: only a new Warning makes a workload unusual; time alone makes it usual again."""
        for about, window in sorted(self.windows.items()):
            if about not in touched and not window.unusual:
                continue
            cluster = self.clusters[about[0]]
            window.advance(cluster.clock)
            quiet = cluster.warned_ms < now_ms - 5 * MINUTE_MS
            unusual = window.recent >= 5 and window.recent * 1024 >= 15 * window.usual and not quiet
            if unusual != window.unusual:
                window.unusual = unusual
                self.said.append((now_ms, about, unusual, window.recent, window.newest[2]))

    def _forget(self, now_ms: int) -> None:
        for name in [name for name, c in self.clusters.items() if 0 < c.heard_ms < now_ms - 24 * 60 * MINUTE_MS]:
            del self.clusters[name]
            self.windows = {about: window for about, window in self.windows.items() if about[0] != name}
            self.totals = {place: sums for place, sums in self.totals.items() if place[0] != name}
            self.counters["clusters-forgotten"] += 1
