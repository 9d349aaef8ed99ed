"""Frames: thousands of rows of one signal in one Kafka record, as a compressed Arrow IPC stream.

The value is plain Arrow, so that pyarrow, polars or Spark read it; what the pipeline needs about it stands in the
record's headers. A frame holds rows of one signal from one source, all of whose clusters hash to the record's
partition. Small frames can be merged on the way in: the merged one keeps each part's lane and row range.

Evolution: a column may be added (an older reader ignores it, a newer one fills its default into an older frame). A
version this code does not know, or a frame without a required column, is refused with `BadFrame`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from abdrift.signals.events import EVENTS
from abdrift.signals.objects import OBJECTS
from abdrift.signals.schema import Column, Signal

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in (OBJECTS, EVENTS)}

MAX_ROWS = 1_000_000
MAX_VALUE_BYTES = 8 * 1024 * 1024

Headers = Sequence[tuple[str, bytes]]


class BadFrame(ValueError):  # noqa: N818  named as the design names it
    """A record that is no readable frame. `reason` is a stable word for dead letters and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Part(msgspec.Struct, frozen=True):
    """The rows of one lane within a frame: `rows` of them from `first_row` on."""

    source: str
    epoch: int
    sequence: int
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame. `batch` has exactly the signal's columns, in order."""

    signal: Signal
    parts: tuple[Part, ...]
    batch: pa.RecordBatch

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.batch.num_rows)


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame as a Kafka record's value and headers."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    rows: int


def encode(signal: Signal, columns: Mapping[str, Sequence[Any]], part: tuple[str, int, int]) -> EncodedFrame:
    """Encode rows of one lane.

    Args:
        signal: What the rows are.
        columns: Values by column name, all of one length. Optional columns may be left out.
        part: The lane's source, epoch and sequence.

    Raises:
        ValueError: a column is missing, unknown or of another length, or there are no or too many rows.

    """
    arrays = [_array(column, columns) for column in signal.columns if column.required or column.name in columns]
    names = [column.name for column in signal.columns if column.required or column.name in columns]
    if unknown := set(columns) - set(names):
        raise ValueError(f"{signal.name} has no column {min(unknown)!r}")
    batch = pa.RecordBatch.from_arrays(arrays, names=names)
    source, epoch, sequence = part
    return _encoded(signal, batch, (Part(source, epoch, sequence, 0, batch.num_rows),))


def decode(value: bytes, headers: Headers) -> Frame:
    """Decode a record.

    Raises:
        BadFrame: it is no frame of a signal and version that this code knows, or it is damaged.

    """
    given = dict(headers)
    signal = _signal(given)
    if len(value) > MAX_VALUE_BYTES:
        raise BadFrame("too-large", f"{len(value)} bytes; at most {MAX_VALUE_BYTES}")
    batch = _batch(value)
    parts = _parts(given, batch.num_rows)
    return Frame(signal, parts, _conform(signal, batch))


def merge(frames: Iterable[Frame]) -> EncodedFrame:
    """Merge frames of one signal into one record, in order, keeping each part's lane and row range.

    Raises:
        ValueError: there are none, or they are of different signals.

    """
    listed = list(frames)
    if not listed or len({frame.signal.name for frame in listed}) != 1:
        raise ValueError("merge takes at least one frame, all of one signal")
    table = pa.Table.from_batches([_widened(frame.batch) for frame in listed]).unify_dictionaries().combine_chunks()
    parts: list[Part] = []
    first = 0
    for frame in listed:
        parts += [msgspec.structs.replace(part, first_row=first + part.first_row) for part in frame.parts]
        first += frame.rows
    batch = table.to_batches()[0] if first else listed[0].batch
    narrowed = pa.RecordBatch.from_arrays(
        [_narrow(batch.column(i)) for i in range(batch.num_columns)], names=batch.schema.names
    )
    return _encoded(listed[0].signal, narrowed, tuple(parts))


def _array(column: Column, columns: Mapping[str, Sequence[Any]]) -> pa.Array:
    if column.name not in columns:
        raise ValueError(f"column {column.name!r} is missing")
    values = columns[column.name]
    if pa.types.is_dictionary(column.type):
        return _narrow(pa.array(values, type=column.type.value_type).dictionary_encode())
    return pa.array(values, type=column.type)


def _narrow(array: pa.Array) -> pa.Array:
    """Give a dictionary array the narrowest indices that hold its dictionary."""
    if not pa.types.is_dictionary(array.type):
        return array
    size = len(array.dictionary)
    index = pa.uint8() if size <= 1 << 8 else pa.uint16() if size <= 1 << 16 else pa.uint32()
    return pa.DictionaryArray.from_arrays(array.indices.cast(index), array.dictionary)


def _widened(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give all dictionary columns the same index type, so that batches can be put together."""
    arrays = [
        pa.DictionaryArray.from_arrays(a.indices.cast(pa.int32()), a.dictionary)
        if pa.types.is_dictionary(a.type)
        else a
        for a in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _encoded(signal: Signal, batch: pa.RecordBatch, parts: tuple[Part, ...]) -> EncodedFrame:
    if not 0 < batch.num_rows <= MAX_ROWS:
        raise ValueError(f"a frame holds 1 to {MAX_ROWS} rows, not {batch.num_rows}")
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    times = pc.min_max(batch.column(signal.event_time_column))
    headers = (
        ("abdrift-signal", signal.name.encode()),
        ("abdrift-version", b"%d" % signal.version),
        ("abdrift-rows", b"%d" % batch.num_rows),
        ("abdrift-parts", msgspec.json.encode(parts)),
        ("abdrift-first-ms", b"%d" % times["min"].as_py()),
        ("abdrift-last-ms", b"%d" % times["max"].as_py()),
    )
    return EncodedFrame(sink.getvalue().to_pybytes(), headers, batch.num_rows)


def _signal(headers: Mapping[str, bytes]) -> Signal:
    name = headers.get("abdrift-signal", b"").decode(errors="replace")
    if name not in SIGNALS:
        raise BadFrame("unknown-signal", f"no signal {name!r}" if name else "no header abdrift-signal: not a frame")
    signal = SIGNALS[name]
    version = headers.get("abdrift-version", b"").decode(errors="replace")
    if version != str(signal.version):
        raise BadFrame("unknown-version", f"{name} version {version!r}; this reader knows {signal.version}")
    return signal


def _batch(value: bytes) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(value, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            batches = list(reader)
        if len(batches) != 1:
            raise BadFrame("bad-frame", f"{len(batches)} record batches in the stream; a frame has one")
        batches[0].validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise BadFrame("bad-frame", f"not a readable Arrow stream: {error}") from error
    return batches[0]


def _parts(headers: Mapping[str, bytes], rows: int) -> tuple[Part, ...]:
    try:
        parts = msgspec.json.decode(headers.get("abdrift-parts", b""), type=tuple[Part, ...])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadFrame("bad-header", f"header abdrift-parts: {error}") from error
    expected = 0
    for part in parts:
        if part.first_row != expected or part.rows <= 0:
            raise BadFrame("bad-header", "header abdrift-parts: the parts do not follow one another")
        expected += part.rows
    if expected != rows:
        raise BadFrame("row-count", f"the headers promise {expected} rows, the frame has {rows}")
    return parts


def _conform(signal: Signal, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with exactly the signal's columns: unknown ones dropped, optional ones filled."""
    arrays = []
    for column in signal.columns:
        if column.name in batch.schema.names:
            arrays.append(_checked(column, batch.column(column.name)))
        elif column.required:
            raise BadFrame("missing-column", f"{signal.name} needs the column {column.name!r}")
        else:
            filled = pa.array([column.default] * batch.num_rows, type=_plain(column.type))
            arrays.append(filled.dictionary_encode() if pa.types.is_dictionary(column.type) else filled)
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in signal.columns])


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _checked(column: Column, array: pa.Array) -> pa.Array:
    if _plain(array.type) != _plain(column.type):
        raise BadFrame("wrong-type", f"column {column.name!r} is {array.type}, not {column.type}")
    if column.required and array.null_count:
        raise BadFrame("null-value", f"column {column.name!r} has {array.null_count} nulls")
    return array
