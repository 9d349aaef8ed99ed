"""The step: frames of Events in, words about unusual workloads out. What it means is told in `streams.rates`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from abdrift import frames
from abdrift.frames import Frame
from abdrift.partitions import partition_of
from abdrift.signals.rates import RATES as RATES_SIGNAL
from abdrift.topics import EVENTS, RATES, Topic
from streams.rates import cells, facts, sums
from streams.rates.cells import Beat, Change, Run
from streams.rates.counting import BEAT_MS, COLUMNS, Piece, count
from streams.rates.journal import Journal
from streams.rates.state import MAX_WINDOWS, Changes, State
from streams.rates.sums import Sums
from streams.step import Batch, Limits, Outgoing, Result

MAX_ROWS_SAID: Final = 5_000
"""Of one frame of words, so that it fits a record."""
CHECKPOINT_BYTES: Final = 4 * 1024 * 1024
"""Deltas grow at least so large before the next checkpoint."""


class RatesStep:
    """Counts Events per namespace and Warnings per workload, and says whose rate is unusual."""

    name = "rates"
    limits = Limits(rows=500_000, size_bytes=4 * 1024 * 1024)

    def __init__(self, max_windows: int = MAX_WINDOWS, *, events: Topic = EVENTS, rates: Topic = RATES) -> None:
        """`max_windows`, a power of two, bounds the workloads of a partition of which Warnings are remembered."""
        self.reads: tuple[Topic, ...] = (events,)
        self.writes: tuple[Topic, ...] = (rates,)
        self.columns: Mapping[str, Sequence[str]] = {events.name: COLUMNS}
        self.max_windows = max_windows

    def open(self, kept: Mapping[str, bytes], partition: int, partitions: int) -> "Opened":
        """Return a partition's state as its cells tell it, ready to be worked on."""
        return Opened(self, kept, partition, partitions)


@dataclass(slots=True)
class _Work:
    """What a batch changes: for the changelog, and to be said."""

    pieces: list[Piece] = field(default_factory=list)
    """Frames of the present beat that are not counted yet."""
    refused: dict[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    facts: list[Outgoing] = field(default_factory=list)


class Opened:
    """One partition, held open: its state is changed in place, and what changed is returned."""

    def __init__(self, step: RatesStep, kept: Mapping[str, bytes], partition: int, partitions: int) -> None:
        self.state = State(lambda cluster: partition_of(cluster, partitions) == partition, step.max_windows)
        self._topic = step.writes[0]
        self._lane = f"{step.name}/{partition}"
        self._journal = Journal(kept)
        for change in cells.restore(kept, self._journal.head, self.state):
            self._carry_out(change)
        self._told = dict(self.state.counters)

    def process(self, batch: Batch) -> Result[bytes]:
        """Take a batch in. Where this raises, the state is undefined: open it anew."""
        work = _Work()
        for record in batch.inputs:
            beat = record.append_ms // BEAT_MS
            if work.pieces and beat > self._beat(work):
                self._count(work)
            if self.state.is_due(beat):
                self._count(work)
                work.changes.append(Beat(beat))
                work.facts += self._said(self.state.settle(beat))
            if record.frame is not None:
                self._take(work, record.frame, record.append_ms)
        self._count(work)
        return self._result(work)

    def _beat(self, work: _Work) -> int:
        """Return the present beat: that of the newest frame."""
        return max(self.state.beat, work.pieces[-1].append_ms // BEAT_MS if work.pieces else 0)

    def _take(self, work: _Work, frame: Frame, append_ms: int) -> None:
        """Note the rows of a frame whose parts were not seen before."""
        # A leader's clock may be behind its predecessor's; a beat that has ended stays so.
        append_ms = max(append_ms, self._beat(work) * BEAT_MS)
        fresh = [part for part in frame.parts if self.state.sequences.see(part.source, part.epoch, part.sequence)]
        for part in frame.parts:
            if part not in fresh:
                work.refused["duplicates"] = work.refused.get("duplicates", 0) + part.rows
        if len(fresh) == len(frame.parts):
            work.pieces.append(Piece(frame.columns, slice(0, frame.rows), append_ms))
        else:
            rows = [slice(part.first_row, part.first_row + part.rows) for part in fresh]
            work.pieces += [Piece(frame.columns, of_part, append_ms) for of_part in rows]

    def _count(self, work: _Work) -> None:
        """Count the frames noted and take in what they add up to."""
        if not work.pieces and not work.refused:
            return
        state = self.state
        beat = self._beat(work)
        counted = count(work.pieces, state.vocabulary)
        counted = Sums(counted.places, counted.moments, counted.heard, counted.refused | work.refused)
        state.take(counted, beat)
        work.changes.append(Run(beat, sums.packed(counted), state.vocabulary.told(), state.sequences.touched()))
        work.pieces, work.refused = [], {}

    def _carry_out(self, change: Change) -> None:
        """Change the state again as it was changed once."""
        if isinstance(change, Run):
            self.state.vocabulary.restore(change.news)
            self.state.sequences.restore(change.lanes)
            self.state.take(sums.unpacked(change.sums), change.beat)
        else:
            self.state.said += _frames_of(self.state.settle(change.beat))

    def _result(self, work: _Work) -> Result[bytes]:
        """Return a batch's delta; or a checkpoint, where deltas have grown as large as the state."""
        if not work.changes:
            return Result()
        most_bytes = max(CHECKPOINT_BYTES, self.state.size_bytes)
        changed, staged = self._journal.write(work.changes, most_bytes, partial(cells.checkpoint, state=self.state))
        return Result(changed, work.facts, staged=staged, passed_over=self._newly_passed_over())

    def _newly_passed_over(self) -> dict[str, int]:
        before, self._told = self._told, dict(self.state.counters)
        return {reason: count - before.get(reason, 0) for reason, count in self._told.items()}

    def _said(self, changes: Changes) -> list[Outgoing]:
        """Return the words about workloads that changed, in an order that numbers do not decide."""
        if not len(changes.workloads):
            return []
        rows = facts.rows(changes, self.state)
        said = []
        for start in range(0, rows.num_rows, MAX_ROWS_SAID):
            chosen = rows.slice(start, MAX_ROWS_SAID)
            columns = dict(zip(chosen.schema.names, chosen.columns, strict=True))
            frame = frames.encode(RATES_SIGNAL, columns, (self._lane, self.state.began, self.state.said))
            self.state.said += 1
            said.append(Outgoing(self._topic, self._lane, columns["cluster"][0].as_py(), None, frame))
        return said


def _frames_of(changes: Changes) -> int:
    return -(-len(changes.workloads) // MAX_ROWS_SAID)
