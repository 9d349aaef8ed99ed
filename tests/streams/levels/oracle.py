"""What `streams.levels` means, row by row and in plain Python: slow, and easy to believe."""

from __future__ import annotations

import itertools
import math
import struct
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abdrift import promql
from abdrift.facts.governance import HealthPolicy
from abdrift.promql import FunctionName
from abdrift.signals import logs, samples
from streams.levels.rules import subject_of
from streams.rates.names import workload_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abdrift.facts.governance import LevelRule
    from abdrift.signals.logs import LogRow
    from abdrift.signals.samples import SampleRow
    from streams.step import Input

MINUTE_MS = 60_000
BEAT_MS = 5_000
CELLS = 32
NORMAL, PENDING, FIRING, SILENT = range(4)
STATES = ("clear", "clear", "firing", "unknown")


def bits_of(value: float) -> int:
    return struct.unpack("<q", struct.pack("<d", value))[0]


def is_stale(value: float) -> bool:
    return bits_of(value) == samples.STALE_NAN


@dataclass
class Member:
    """One series under one rule, with all its samples."""

    rule: LevelRule
    subject: tuple[str, ...]
    samples: dict[int, float] = field(default_factory=dict)
    phase: int = NORMAL
    since: int = 0

    def put(self, time_ms: int, value: float) -> None:
        known = self.samples.get(time_ms)
        if known is None or bits_of(value) > bits_of(known):
            self.samples[time_ms] = value

    def kept(self) -> list[tuple[int, float]]:
        """Return the newest sample of each cell, in order of time."""
        function = promql.parse_function(self.rule.function)
        windowed = function.name is not FunctionName.VALUE
        cells = CELLS if windowed else 1
        width = max(1, math.ceil(function.window_ms / (CELLS - 1)))
        newest = max(self.samples) // width
        by_cell: dict[int, int] = {}
        for time_ms in sorted(self.samples):
            if time_ms // width > newest - cells:
                by_cell[time_ms // width] = time_ms
        return [(time_ms, self.samples[time_ms]) for time_ms in by_cell.values()]

    def value(self) -> float | None:
        """Return what the rule's function makes of the samples, as Prometheus does of a window ending at the newest."""
        function = promql.parse_function(self.rule.function)
        kept = self.kept()
        end = kept[-1][0]
        if function.name is FunctionName.VALUE:
            return kept[-1][1]
        points = [(t, v) for t, v in kept if t > end - function.window_ms and not is_stale(v)]
        if function.name is FunctionName.QUANTILE:
            return quantile(function.quantile, [v for _, v in points if not math.isnan(v)])
        found = increase(points, end - function.window_ms, end)
        if found is not None and function.name is FunctionName.RATE:
            return found / (function.window_ms / 1000)
        return found

    def exceeds(self) -> bool:
        value = self.value()
        if value is None or math.isnan(value):
            return False
        threshold = self.rule.threshold
        return {">": value > threshold, ">=": value >= threshold, "<": value < threshold, "<=": value <= threshold}[
            self.rule.comparison
        ]

    def judge(self, now_ms: int) -> None:
        newest = max(self.samples)
        fresh, ended = newest >= now_ms - 5 * MINUTE_MS, is_stale(self.samples[newest])
        if fresh and not ended and self.exceeds():
            self.since = self.since or newest
            self.phase = FIRING if newest - self.since >= self.rule.for_seconds * 1000 else PENDING
        else:
            self.since = 0
            self.phase = SILENT if not fresh and not ended and self.phase >= FIRING else NORMAL

    def notice_silence(self, now_ms: int) -> None:
        newest = max(self.samples)
        if self.phase and newest < now_ms - 5 * MINUTE_MS:
            self.since = 0
            self.phase = NORMAL if self.phase == PENDING or newest < now_ms - 60 * MINUTE_MS else SILENT


def quantile(q: float, values: list[float]) -> float | None:
    if not values:
        return None
    values = sorted(values)
    rank = q * (len(values) - 1)
    lower = max(0, math.floor(rank))
    upper = min(len(values) - 1, lower + 1)
    weight = rank - math.floor(rank)
    return values[lower] * (1 - weight) + values[upper] * weight


def increase(points: list[tuple[int, float]], start: int, end: int) -> float | None:
    if len(points) < 2:
        return None
    result = points[-1][1] - points[0][1]
    for (_, before), (_, after) in itertools.pairwise(points):
        if after < before:
            result += before
    to_start, to_end = (points[0][0] - start) / 1000, (end - points[-1][0]) / 1000
    sampled = (points[-1][0] - points[0][0]) / 1000
    mean = sampled / (len(points) - 1)
    if to_start >= mean * 1.1:
        to_start = mean / 2
    if result > 0 and points[0][1] >= 0:
        to_start = min(to_start, sampled * (points[0][1] / result))
    if to_end >= mean * 1.1:
        to_end = mean / 2
    return result * ((sampled + to_start + to_end) / sampled)


@dataclass
class Window:
    """One workload's minutes that are kept, and what it was judged."""

    minute: int
    errors: Counter[int] = field(default_factory=Counter)
    lines: Counter[int] = field(default_factory=Counter)
    usual: int = 0
    unusual: bool = False

    def advance(self, minute: int) -> None:
        while self.minute < minute:
            self.usual += (self.errors.pop(self.minute - 7, 0) * 1024 - self.usual) // 20
            self.usual = 0 if self.usual < 10 else self.usual
            self.lines.pop(self.minute - 7, 0)
            self.minute += 1

    def recent(self, counts: Counter[int]) -> int:
        return sum(counts[self.minute - back] for back in range(5))

    @property
    def is_new(self) -> bool:
        nothing = not any(self.errors.values()) and not self.usual and not self.unusual
        return nothing and not self.recent(self.lines)


class Oracle:
    """One partition."""

    def __init__(self, policy: HealthPolicy | None = None) -> None:
        self.policy = policy or HealthPolicy()
        self.members: dict[tuple[str, str, str, str], Member] = {}
        self.windows: dict[tuple[str, tuple[str, ...]], Window] = {}
        self.clusters: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.seen: set[tuple[str, str, int, int]] = set()
        self.counters: Counter[str] = Counter()
        self.said: list[tuple[Any, ...]] = []
        self.waiting: list[SampleRow | LogRow] = []
        self.waits = False
        self.beat = 0
        self.minute = 0

    def feed(self, records: Iterable[Input]) -> Oracle:
        for record in records:
            beat = record.append_ms // BEAT_MS
            if (self.waits and beat > self.beat) or beat * BEAT_MS // MINUTE_MS > self.minute:
                self.settle(beat)
            if record.frame is not None:
                self._take(record, max(beat, self.beat))
        return self

    def settle(self, beat: int) -> None:
        now_ms = beat * BEAT_MS
        at_ms = self.beat * BEAT_MS if self.waits else now_ms
        waiting, self.waiting, self.waits = self.waiting, [], False
        before = self._states()
        touched = [key for row in waiting if isinstance(row, samples.SampleRow) for key in self._put(row)]
        for key in set(touched):
            self.members[key].judge(at_ms)
        for member in self.members.values():
            member.notice_silence(at_ms)
        self._say(before, beat)
        self._judge_lines([row for row in waiting if isinstance(row, logs.LogRow)], at_ms // MINUTE_MS, beat)
        before = self._states()
        self.members = {k: m for k, m in self.members.items() if max(m.samples) >= now_ms - 60 * MINUTE_MS}
        self._say(before, beat)
        self.minute, self.beat = now_ms // MINUTE_MS, beat

    def portrait(self) -> dict[str, Any]:
        """Return everything that must be the same, in words."""
        for window in self.windows.values():
            window.advance(self.minute)
        return {
            "members": {
                key: ({t: bits_of(v) for t, v in m.kept()}, m.phase, m.since) for key, m in self.members.items()
            },
            "logs": {
                about: (dict(+w.errors), dict(+w.lines), w.usual, w.unusual)
                for about, w in self.windows.items()
                if not w.is_new
            },
            "clusters": {name: tuple(counts) for name, counts in self.clusters.items()},
            "offenders": {},
        }

    def _take(self, record: Input, beat: int) -> None:
        assert record.frame is not None
        self.beat, now_ms = beat, beat * BEAT_MS
        for part in record.frame.parts:
            lane = (record.frame.signal.name, part.source, part.epoch, part.sequence)
            if lane in self.seen:
                self.counters["duplicates"] += part.rows
                continue
            self.seen.add(lane)
            self.waits = True
            batch = record.frame.batch.slice(part.first_row, part.rows)
            if record.frame.signal is samples.SAMPLES:
                self.waiting += [row for row in samples.rows_of(batch) if self._is_wanted(row, now_ms)]
            else:
                self.waiting += [_capped(row, now_ms) for row in logs.rows_of(batch) if self._is_kept(row, now_ms)]

    def _is_wanted(self, row: SampleRow, now_ms: int) -> bool:
        self.clusters[row.cluster][0] += 1
        if all(promql.parse_selector(rule.selector).metric != row.metric for rule in self.policy.rules):
            reason = "no-rule"
        elif not now_ms - 60 * MINUTE_MS <= row.time_ms <= now_ms + MINUTE_MS:
            reason = "late" if row.time_ms < now_ms else "ahead"
        else:
            reason = self._join(row)
        self.counters[reason] += bool(reason)
        return not reason

    def _join(self, row: SampleRow) -> str:
        try:
            labels = samples.labels_of(row.labels)
        except ValueError:
            return "bad-labels"
        selected = [rule for rule in self.policy.rules if _selects(rule, row.metric, labels)]
        about = {rule.name: subject for rule in selected if (subject := subject_of(rule, labels))}
        for rule in selected:
            if rule.name in about:
                key = (rule.name, row.cluster, row.metric, row.labels)
                self.members.setdefault(key, Member(rule, (row.cluster, *about[rule.name])))
        return "" if about else "no-subject" if selected else "no-rule"

    def _put(self, row: SampleRow) -> list[tuple[str, str, str, str]]:
        keys = [(rule.name, row.cluster, row.metric, row.labels) for rule in self.policy.rules]
        found = [key for key in keys if key in self.members]
        for key in found:
            self.members[key].put(row.time_ms, row.value)
        return found

    def _is_kept(self, row: LogRow, now_ms: int) -> bool:
        self.clusters[row.cluster][1] += 1
        late = row.time_ms // MINUTE_MS <= now_ms // MINUTE_MS - 8
        ahead = row.time_ms > now_ms + MINUTE_MS
        self.counters["late" if late else "ahead"] += late or ahead
        return not late and not ahead

    def _judge_lines(self, rows: list[LogRow], minute: int, beat: int) -> None:
        touched = set()
        for row in rows:
            about = (row.cluster, _subject(row))
            window = self.windows.setdefault(about, Window(minute))
            window.advance(minute)
            window.lines[row.time_ms // MINUTE_MS] += 1
            window.errors[row.time_ms // MINUTE_MS] += row.severity.lower() in ("error", "fatal")
            touched.add(about)
        for about, window in sorted(self.windows.items()):
            if about not in touched and not window.unusual:
                continue
            window.advance(minute)
            errors, lines = window.recent(window.errors), window.recent(window.lines)
            share = errors * 100 >= self.policy.log_errors.share_percent * lines
            unusual = errors >= 5 and errors * 1024 >= 15 * window.usual and share
            if unusual != window.unusual:
                window.unusual = unusual
                self.said.append((beat * BEAT_MS, about[0], *about[1], "log-errors", "firing" if unusual else "clear"))

    def _states(self) -> dict[tuple[Any, ...], str]:
        phases: dict[tuple[Any, ...], int] = {}
        for member in self.members.values():
            about = (*member.subject, member.rule.name)
            best = {NORMAL: 0, PENDING: 0, SILENT: 1, FIRING: 2}
            phases[about] = max(phases.get(about, 0), best[member.phase])
        return {about: ("clear", "unknown", "firing")[phase] for about, phase in phases.items()}

    def _say(self, before: dict[tuple[Any, ...], str], beat: int) -> None:
        after = self._states()
        for about in sorted({*before, *after}):
            state = after.get(about, "clear")
            if before.get(about, "clear") != state:
                self.said.append((beat * BEAT_MS, *about, state))


def _selects(rule: LevelRule, metric: str, labels: dict[str, str]) -> bool:
    selector = promql.parse_selector(rule.selector)
    return selector.metric == metric and all(m.matches([labels.get(m.label, "")])[0] for m in selector.matchers)


def _capped(row: LogRow, now_ms: int) -> LogRow:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return logs.LogRow(**{**fields, "time_ms": min(row.time_ms, now_ms)})


def _subject(row: LogRow) -> tuple[str, str, str, str]:
    if row.workload:
        return ("workload", row.namespace, row.workload_kind, workload_of(row.workload_kind, row.workload))
    if row.pod:
        return ("workload", row.namespace, "Pod", workload_of("Pod", row.pod))
    return ("node", "", "Node", row.node) if row.node else ("cluster", "", "", "")
