"""One step over one batch: decoded, processed, encoded, with what cannot be read or handled set apart.

Pure. A step that raises must neither stop its neighbours nor lose them: the batch is halved until the record that
makes it raise stands alone, and that one is refused.
"""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic

from abdrift.partitions import partition_of
from abdrift.topics import Format, Placement
from streams.commit import OutboxFact, cell_write
from streams.decode import Record, decode
from streams.step import Batch, CellT, Input, Outgoing, Refused, Result, Step, cell_codec

STEP_ERROR: Final = "step-error"
_MAX_ERROR_CHARACTERS: Final = 2_000


@dataclass(slots=True)
class Processed(Generic[CellT]):
    """What a batch led to. `cells` are decoded, `encoded` the same for the changelog; None deletes."""

    cells: dict[str, CellT | None] = field(default_factory=dict)
    encoded: dict[str, bytes | None] = field(default_factory=dict)
    outbox: list[OutboxFact] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a batch is processed under, the same for all its records."""

    partition: int
    partitions: int
    lag_ms: int
    restoring: bool


class Processor(Generic[CellT]):
    """Runs one step. `counts` gives each written topic's number of partitions."""

    def __init__(self, step: Step[CellT], counts: Mapping[str, int]) -> None:
        self.step = step
        self._counts = dict(counts)
        self._formats: dict[str, Format] = {topic.name: topic.format for topic in step.reads}
        self._encoder, self._decoder = cell_codec(step.cell_type)

    def decode_cell(self, value: bytes) -> CellT:
        """Return a cell from its encoding."""
        cell: CellT = self._decoder.decode(value)
        return cell

    def encode_cell(self, cell: CellT) -> bytes:
        """Return a cell's encoding."""
        return self._encoder.encode(cell)

    def run(self, cells: Mapping[str, CellT], records: Sequence[Record], setting: Setting) -> Processed[CellT]:
        """Process records in order. Never raises for what a record holds."""
        done: Processed[CellT] = Processed()
        inputs: list[Input] = []
        for record in records:
            read = decode(record, self._formats)
            if isinstance(read, Refused):
                done.refused.append(read)
            else:
                inputs.append(read)
                done.rows += read.frame.rows if read.frame else 0
        if inputs:
            self._attempt(cells, inputs, setting, done)
        return done

    def encoded(self, outgoing: Outgoing) -> OutboxFact:
        """Return a fact as it goes to Kafka, its partition named.

        Raises:
            KeyError: the step does not say that it writes this topic.

        """
        count = self._counts[outgoing.topic.name]
        single = outgoing.topic.placement is Placement.SINGLE
        partition = 0 if single else partition_of(outgoing.scope, count)
        return OutboxFact(
            outgoing.topic.name, partition, outgoing.key, outgoing.event.encode() if outgoing.event else None
        )

    def _attempt(
        self, cells: Mapping[str, CellT], inputs: Sequence[Input], setting: Setting, done: Processed[CellT]
    ) -> None:
        """Process inputs on top of what is done so far, and add to it."""
        batch = Batch(setting.partition, setting.partitions, inputs, setting.lag_ms, setting.restoring)
        try:
            result = self.step.process(_overlaid(cells, done.cells), batch)
            encoded = {key: None if cell is None else self.encode_cell(cell) for key, cell in result.cells.items()}
            for key, value in encoded.items():
                cell_write(key, value)
            outbox = [self.encoded(fact) for fact in result.facts]
        except Exception as error:  # noqa: BLE001  a step's bug may be of any kind; it is dead-lettered and counted
            if len(inputs) == 1:
                done.refused.append(Refused(inputs[0].cause(), STEP_ERROR, _in_words(error)))
                return
            middle = len(inputs) // 2
            self._attempt(cells, inputs[:middle], setting, done)
            self._attempt(cells, inputs[middle:], setting, done)
            return
        self._add(done, result, encoded, outbox)

    @staticmethod
    def _add(
        done: Processed[CellT], result: Result[CellT], encoded: dict[str, bytes | None], outbox: list[OutboxFact]
    ) -> None:
        done.cells.update(result.cells)
        done.encoded.update(encoded)
        done.outbox += outbox
        done.refused += result.refused


def _overlaid(cells: Mapping[str, CellT], changes: Mapping[str, CellT | None]) -> Mapping[str, CellT]:
    """Return the cells as they are after the changes; the very mapping where there are none."""
    if not changes:
        return cells
    overlaid: dict[str, Any] = {**cells, **changes}
    return {key: cell for key, cell in overlaid.items() if cell is not None}


def _in_words(error: Exception) -> str:
    """Return the end of a traceback: where a step failed, without this machine's paths."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    where = "; ".join(f"{frame.name} line {frame.lineno}" for frame in frames)
    return f"{type(error).__name__}: {error} ({where})"[:_MAX_ERROR_CHARACTERS]
