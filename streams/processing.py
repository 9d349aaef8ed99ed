"""One step over one batch: decoded, processed, encoded, with what cannot be read or handled set apart.

A step that raises must neither stop its neighbours nor lose them: the record that makes it raise is found, and that
one is refused. Of a pure step the batch is halved until that record stands alone; a step that holds its state itself
(`OpenedStep`) is opened anew and given the batch record by record.
"""

import contextlib
import gc
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol

import cramjam

from abdrift.cloudevents import HEADERS
from abdrift.partitions import partition_of
from abdrift.topics import Format, Placement
from streams.commit import OutboxFact, cell_write
from streams.decode import Record, decode
from streams.step import AnyStep, Batch, CellT, Input, Opened, OpenedStep, Outgoing, Refused, Result, Step, cell_codec

STEP_ERROR: Final = "step-error"
_MAX_ERROR_CHARACTERS: Final = 2_000
_LARGE_CELL_BYTES: Final = 64 * 1024
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""No cell's own encoding begins so: to MessagePack it would be a number, and cells are maps and arrays."""


@dataclass(slots=True)
class Processed(Generic[CellT]):
    """What a batch led to. `cells` are decoded, `encoded` the same for the changelog; None deletes."""

    cells: dict[str, CellT | None] = field(default_factory=dict)
    encoded: dict[str, bytes | None] = field(default_factory=dict)
    outbox: list[OutboxFact] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    rows: int = 0
    staged: list[Iterable[tuple[str, bytes]]] = field(default_factory=list)
    passed_over: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a batch is processed under, the same for all its records."""

    partition: int
    partitions: int
    lag_ms: int
    restoring: bool


Reload = Callable[[], Mapping[str, bytes]]
"""Gives a partition's cells as the last commit left them."""


class Partition(Protocol):
    """One partition of a step, its state in memory."""

    def run(self, records: Sequence[Record], setting: Setting) -> Processed[Any]:
        """Process records in order. Never raises for what a record holds."""
        ...

    def absorb(self, done: Processed[Any]) -> None:
        """Note that what a run led to is committed."""
        ...


def partition_of_step(
    step: AnyStep, counts: Mapping[str, int], number: int, cells: dict[str, bytes], reload: Reload
) -> Partition:
    """Return a partition of a step as its committed cells tell it.

    Args:
        step: What is to run.
        counts: Each read and written topic's number of partitions.
        number: The partition's.
        cells: Its committed cells. Emptied, so that they and what is made of them need not be held side by side.
        reload: Gives them once more, should the step raise.

    """
    if isinstance(step, OpenedStep):
        return _OpenPartition(step, counts, number, cells, reload)
    return _PurePartition(Processor(step, counts), cells)


class Reader:
    """Decodes what a step reads, and encodes what it writes."""

    def __init__(self, step: AnyStep, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)
        self._formats: dict[str, Format] = {topic.name: topic.format for topic in step.reads}
        self._columns: Mapping[str, Sequence[str]] = getattr(step, "columns", {})

    def read(self, records: Sequence[Record], done: Processed[Any]) -> list[Input]:
        """Return what can be read, and note what cannot."""
        inputs: list[Input] = []
        for record in records:
            read = decode(record, self._formats, self._columns)
            if isinstance(read, Refused):
                done.refused.append(read)
            else:
                inputs.append(read)
                done.rows += read.frame.rows if read.frame else 0
        return inputs

    def encoded(self, outgoing: Outgoing) -> OutboxFact:
        """Return a fact as it goes to Kafka, its partition named.

        Raises:
            KeyError: the step does not say that it writes this topic.

        """
        count = self._counts[outgoing.topic.name]
        single = outgoing.topic.placement is Placement.SINGLE
        partition = 0 if single else partition_of(outgoing.scope, count)
        if outgoing.frame is not None:
            frame = outgoing.frame
            return OutboxFact(outgoing.topic.name, partition, outgoing.key, frame.value, frame.headers)
        if outgoing.event is None:
            return OutboxFact(outgoing.topic.name, partition, outgoing.key, None)
        return OutboxFact(outgoing.topic.name, partition, outgoing.key, outgoing.event.encode(), HEADERS)


class Processor(Reader, Generic[CellT]):
    """Runs one pure step. `counts` gives each written topic's number of partitions."""

    def __init__(self, step: Step[CellT], counts: Mapping[str, int]) -> None:
        super().__init__(step, counts)
        self.step = step
        self._encoder, self._decoder = cell_codec(step.cell_type)

    def decode_cell(self, value: bytes) -> CellT:
        """Return a cell from its encoding."""
        is_compressed = value.startswith(_ZSTD_MAGIC)
        cell: CellT = self._decoder.decode(bytes(cramjam.zstd.decompress(value)) if is_compressed else value)
        return cell

    def encode_cell(self, cell: CellT) -> bytes:
        """Return a cell's encoding; of a large one, such as the names of all objects of a cluster, compressed."""
        value = self._encoder.encode(cell)
        return value if len(value) < _LARGE_CELL_BYTES else bytes(cramjam.zstd.compress(value, level=1))

    def run(self, cells: Mapping[str, CellT], records: Sequence[Record], setting: Setting) -> Processed[CellT]:
        """Process records in order. Never raises for what a record holds."""
        done: Processed[CellT] = Processed()
        inputs = self.read(records, done)
        if inputs:
            self._attempt(cells, inputs, setting, done)
        return done

    def _attempt(
        self, cells: Mapping[str, CellT], inputs: Sequence[Input], setting: Setting, done: Processed[CellT]
    ) -> None:
        """Process inputs on top of what is done so far, and add to it."""
        try:
            result = self.step.process(_overlaid(cells, done.cells), _batch(inputs, setting))
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


class _PurePartition(Generic[CellT]):
    """A pure step's partition: its cells, decoded."""

    def __init__(self, processor: Processor[CellT], cells: dict[str, bytes]) -> None:
        self._processor = processor
        with _uncollected():
            self._cells = {key: processor.decode_cell(cells.pop(key)) for key in list(cells)}

    def run(self, records: Sequence[Record], setting: Setting) -> Processed[CellT]:
        return self._processor.run(self._cells, records, setting)

    def absorb(self, done: Processed[CellT]) -> None:
        for key, cell in done.cells.items():
            if cell is None:
                self._cells.pop(key, None)
            else:
                self._cells[key] = cell


class _OpenPartition:
    """A partition whose step holds its state."""

    def __init__(
        self, step: OpenedStep, counts: Mapping[str, int], number: int, cells: dict[str, bytes], reload: Reload
    ) -> None:
        self._step, self._number, self._reload = step, number, reload
        self._reader = Reader(step, counts)
        self._partitions = counts[step.reads[0].name]
        self._opened = step.open(cells, number, self._partitions)
        cells.clear()

    def run(self, records: Sequence[Record], setting: Setting) -> Processed[Any]:
        done: Processed[Any] = Processed()
        inputs = self._reader.read(records, done)
        try:
            self._process(inputs, setting, done)
        except Exception:  # noqa: BLE001  a step's bug may be of any kind; the record that shows it is found and refused
            done.refused += self._culprits(inputs, setting)
            culprits = {(one.cause.topic, one.cause.offset) for one in done.refused}
            self._opened = self._reopen()
            self._process([one for one in inputs if (one.topic, one.offset) not in culprits], setting, done)
        return done

    def absorb(self, done: Processed[Any]) -> None:
        """Do nothing: the step has changed its state already."""

    def _reopen(self) -> Opened:
        return self._step.open(self._reload(), self._number, self._partitions)

    def _process(self, inputs: Sequence[Input], setting: Setting, done: Processed[Any]) -> None:
        if not inputs:
            return
        result = self._opened.process(_batch(inputs, setting))
        done.outbox = [self._reader.encoded(fact) for fact in result.facts]
        done.encoded.update(result.cells)
        done.refused += result.refused
        done.staged.append(result.staged)
        done.passed_over = result.passed_over

    def _culprits(self, inputs: Sequence[Input], setting: Setting) -> list[Refused]:
        """Return which records make the step raise, each on top of the good ones before it."""
        found: list[Refused] = []
        good: list[Input] = []
        self._opened = self._reopen()
        for one in inputs:
            try:
                self._process([one], setting, Processed())
                good.append(one)
            except Exception as error:  # noqa: BLE001  see above
                found.append(Refused(one.cause(), STEP_ERROR, _in_words(error)))
                self._opened = self._reopen()
                self._process(good, setting, Processed())
        return found


def _batch(inputs: Sequence[Input], setting: Setting) -> Batch:
    return Batch(setting.partition, setting.partitions, inputs, setting.lag_ms, setting.restoring)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector away: it would look through all cells again and again while they are decoded.

    They are frozen and hold no cycles, so it would find nothing, for two thirds of the time that they take.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
