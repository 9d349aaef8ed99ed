"""The step: samples, logs and the policy in, words about levels out. What it means is told in `streams.levels`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from abdrift import frames
from abdrift.facts.governance import HealthPolicy, Policy
from abdrift.frames import Frame
from abdrift.partitions import partition_of
from abdrift.signals.levels import LEVELS as LEVELS_SIGNAL
from abdrift.signals.samples import SAMPLES as SAMPLES_SIGNAL
from abdrift.signing import SignatureRefused
from abdrift.topics import FLEET_POLICY, LEVELS, LOGS, POLICY, SAMPLES, Topic
from streams.levels import cells, lines, sampling, words
from streams.levels.cells import Beat, Change, Declared, Run
from streams.levels.rings import Samples
from streams.levels.state import MAX_MEMBERS, State, Taken
from streams.levels.words import Word
from streams.rates.counting import BEAT_MS
from streams.rates.journal import Journal
from streams.rates.packing import Ints
from streams.step import Batch, Input, Limits, Outgoing, Refused, Result

MAX_ROWS_SAID: Final = 2_000
"""Of one frame of words, so that it fits a record."""
CHECKPOINT_BYTES: Final = 4 * 1024 * 1024
"""Deltas grow at least so large before the next checkpoint."""

Verify = Callable[[str, Mapping[str, Any]], object]
"""Raises SignatureRefused where no trusted key signed data as a fact of a type, as `abdrift.signing.Trust.verify`."""


class LevelsStep:
    """Judges series under the policy's rules, and error lines against the usual ones, and says what changes."""

    name = "levels"
    limits = Limits(rows=1_000_000, size_bytes=8 * 1024 * 1024)

    def __init__(
        self,
        verify: Verify,
        max_members: int = MAX_MEMBERS,
        *,
        reads: tuple[Topic, Topic, Topic] = (SAMPLES, LOGS, FLEET_POLICY),
        levels: Topic = LEVELS,
    ) -> None:
        """`max_members` bounds the series of a partition that rules select, for each of its two tables."""
        samples, logs, _ = reads
        self.reads: tuple[Topic, ...] = reads
        self.writes: tuple[Topic, ...] = (levels,)
        self.columns: Mapping[str, Sequence[str]] = {samples.name: sampling.COLUMNS, logs.name: lines.COLUMNS}
        self.max_members = max_members
        self.verify = verify

    def open(self, kept: Mapping[str, bytes], partition: int, partitions: int) -> "Opened":
        """Return a partition's state as its cells tell it, ready to be worked on."""
        return Opened(self, kept, partition, partitions)


@dataclass(slots=True)
class _Work:
    """What a batch changes: for the changelog, and to be said."""

    frames: list[Frame] = field(default_factory=list)
    """Those of the present beat that are not taken in yet."""
    duplicates: int = 0
    """Rows of the present beat that were seen before."""
    beat: int = 0
    """The newest frame's."""
    changes: list[Change] = field(default_factory=list)
    facts: list[Outgoing] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


class Opened:
    """One partition, held open: its state is changed in place, and what changed is returned."""

    def __init__(self, step: LevelsStep, kept: Mapping[str, bytes], partition: int, partitions: int) -> None:
        self.state = State(lambda cluster: partition_of(cluster, partitions) == partition, step.max_members)
        self._verify = step.verify
        self._topic = step.writes[0]
        self._lane = f"{step.name}/{partition}"
        self._policy_name = str(Policy.model_fields["name"].default)
        self._journal = Journal(kept)
        for change in cells.restore(kept, self._journal.head, self.state):
            self._carry_out(change)
        self._told = dict(self.state.counters)

    def process(self, batch: Batch) -> Result[bytes]:
        """Take a batch in. Where this raises, the state is undefined: open it anew."""
        work = _Work()
        for record in batch.inputs:
            beat = record.append_ms // BEAT_MS
            if work.frames and beat > max(self.state.beat, work.beat):
                self._count(work)
            if self.state.is_due(beat):
                self._count(work)
                work.changes.append(Beat(beat))
                work.facts += self._said(self.state.settle(beat))
            if record.frame is not None:
                self._take(work, record.frame, beat)
            elif not record.is_tick:
                self._declare(work, record, beat)
        self._count(work)
        return self._result(work)

    def _take(self, work: _Work, frame: Frame, beat: int) -> None:
        """Note the rows of a frame whose parts were not seen before."""
        see, kind = self.state.sequences.see, frame.signal.name
        # Samples and logs of one source have lanes of their own.
        fresh = [part for part in frame.parts if see(f"{kind}/{part.source}", part.epoch, part.sequence)]
        work.duplicates += frame.rows - sum(part.rows for part in fresh)
        # A leader's clock may be behind its predecessor's; a beat that has ended stays so.
        work.beat = max(work.beat, beat)
        if len(fresh) == len(frame.parts):
            work.frames.append(frame)
        else:
            batch = frame.batch
            work.frames += [Frame(frame.signal, (p,), batch.slice(p.first_row, p.rows)) for p in fresh]

    def _count(self, work: _Work) -> None:
        """Read the frames noted and take in what they come to."""
        if not work.frames and not work.duplicates:
            return
        state = self.state
        beat = max(state.beat, work.beat)
        taken = self._read(work.frames, beat * BEAT_MS)
        if work.duplicates:
            taken.refused["duplicates"] = work.duplicates
        state.take(taken, beat)
        joined, state.series.joined = state.series.joined, []
        told = state.vocabulary.told()
        work.changes.append(Run(beat, cells.packed(taken), told, joined, state.sequences.touched()))
        work.frames, work.duplicates = [], 0

    def _read(self, taken: Sequence[Frame], now_ms: int) -> Taken:
        state = self.state
        refused: dict[str, int] = {}
        offenders: dict[int, str] = {}
        samples, counted = [], []
        for frame in taken:
            if frame.signal is SAMPLES_SIGNAL:
                sampled = sampling.read(frame.batch, state.series, state.vocabulary, now_ms)
                samples.append(sampled)
                for cluster, metric in sorted(sampled.offenders):
                    offenders[cluster] = min(metric, offenders.get(cluster, metric))
            else:
                counted.append(lines.read(frame.batch, state.vocabulary, now_ms))
        for of_frame in (*(one.refused for one in samples), *(one.refused for one in counted)):
            for reason, count in of_frame.items():
                refused[reason] = refused.get(reason, 0) + count
        return Taken(
            [_together([one.samples for one in samples])] if samples else [],
            [lines.added([one.lines for one in counted])] if counted else [],
            _added([one.clusters for one in samples]),
            _added([one.clusters for one in counted]),
            refused,
            offenders,
        )

    def _declare(self, work: _Work, record: Input, beat: int) -> None:
        """Put a policy's rules in force. One that is not properly signed is refused, and the old ones stay."""
        policy = self._policy_of(work, record)
        if policy is None or policy == self.state.rules.policy:
            return
        self._count(work)
        beat = max(self.state.beat, beat)
        work.changes.append(Declared(beat, policy.model_dump_json().encode()))
        work.facts += self._said(self.state.declare(policy, beat))

    def _policy_of(self, work: _Work, record: Input) -> HealthPolicy | None:
        if record.tombstone:
            return HealthPolicy() if record.key == self._policy_name else None
        if record.event is None or record.event.type != POLICY.name:
            what = record.event.type if record.event else None
            work.refused.append(Refused(record.cause(), "unknown-fact", f"type {what!r} is no policy"))
            return None
        try:
            self._verify(POLICY.name, record.event.data)
            return Policy.model_validate(record.event.data).health
        except SignatureRefused as error:
            work.refused.append(Refused(record.cause(), error.reason, str(error)))
        except ValidationError as error:
            work.refused.append(Refused(record.cause(), "bad-policy", str(error)))
        return None

    def _carry_out(self, change: Change) -> None:
        """Change the state again as it was changed once."""
        state = self.state
        match change:
            case Run():
                state.vocabulary.restore(change.news)
                state.sequences.restore(change.lanes)
                state.series.restore(change.joined)
                state.take(cells.unpacked(change.taken), change.beat)
            case Beat():
                state.said += _frames_of(state.settle(change.beat))
            case Declared():
                policy = HealthPolicy.model_validate_json(change.policy)
                state.said += _frames_of(state.declare(policy, change.beat))

    def _result(self, work: _Work) -> Result[bytes]:
        """Return a batch's delta; or a checkpoint, where deltas have grown as large as the state."""
        if not work.changes:
            return Result(refused=work.refused)
        most_bytes = max(CHECKPOINT_BYTES, self.state.size_bytes)
        changed, staged = self._journal.write(work.changes, most_bytes, partial(cells.checkpoint, state=self.state))
        told, self._told = self._told, dict(self.state.counters)
        return Result(
            changed,
            work.facts,
            work.refused,
            staged=staged,
            passed_over={reason: count - told.get(reason, 0) for reason, count in self._told.items()},
        )

    def _said(self, said: Sequence[Word]) -> list[Outgoing]:
        found = []
        for start in range(0, len(said), MAX_ROWS_SAID):
            part = said[start : start + MAX_ROWS_SAID]
            lane = (self._lane, self.state.began, self.state.said)
            frame = frames.encode(LEVELS_SIGNAL, words.columns(part, self.state.beat * BEAT_MS), lane)
            self.state.said += 1
            found.append(Outgoing(self._topic, self._lane, part[0].cluster, None, frame))
        return found


def _frames_of(said: Sequence[Word]) -> int:
    return -(-len(said) // MAX_ROWS_SAID)


def _together(parts: Sequence[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    return Samples(*(np.concatenate([getattr(one, name) for one in parts]) for name in Samples.__slots__))


def _added(parts: Sequence[Ints]) -> Ints:
    """Return sums by place of arrays of several lengths."""
    summed = np.zeros(max(map(len, parts), default=0), dtype=np.int64)
    for part in parts:
        summed[: len(part)] += part
    return summed
