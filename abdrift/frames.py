"""Frames: thousands of rows of one signal in one Kafka record, as a compressed Arrow IPC stream.

The value is plain Arrow, so that pyarrow, polars or Spark read it; what the pipeline needs about it stands in the
record's headers. A frame holds rows of one signal from one source, all of whose clusters hash to the record's
partition. Small frames can be merged on the way in: the merged one keeps each part's lane and row range.

Evolution: a column may be added (an older reader ignores it, a newer one fills its default into an older frame). A
version this code does not know, or a frame without a required column, is refused with `BadFrame`.

A frame may come from a damaged disk or a hostile edge site. Its checksum is compared before Arrow sees it, and what
it would take in memory is bounded before it is decompressed; whatever the bytes are, `decode` returns or raises
`BadFrame`.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from abdrift import ipc
from abdrift.signals.events import EVENTS
from abdrift.signals.objects import OBJECTS
from abdrift.signals.schema import Column, Signal

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in (OBJECTS, EVENTS)}

MAX_ROWS = 1_000_000
MAX_VALUE_BYTES = 8 * 1024 * 1024
MAX_DECOMPRESSED_BYTES = 512 * 1024 * 1024
"""A frame that would take more memory is refused before it does."""

Headers = Sequence[tuple[str, bytes | None]]
"""As Kafka's clients give them: a header without a value has None."""


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
        ValueError, TypeError, OverflowError: a column is missing, unknown or of another length, a value is not of
            its column's type or absent from a required one, or there are no or too many rows.

    """
    given = [column for column in signal.columns if column.required or column.name in columns]
    names = [column.name for column in given]
    if unknown := set(columns) - set(names):
        raise ValueError(f"{signal.name} has no column {min(unknown)!r}")
    batch = pa.RecordBatch.from_arrays([_array(column, columns) for column in given], names=names)
    source, epoch, sequence = part
    return _encoded(signal, batch, (Part(source, epoch, sequence, 0, batch.num_rows),))


def decode(value: bytes, headers: Headers) -> Frame:
    """Decode a record.

    Raises:
        BadFrame: it is no frame of a signal and version that this code knows, or it is damaged.

    """
    given = {name: content or b"" for name, content in headers}
    signal = _signal(given)
    _intact(value, given)
    batch = _batch(value)
    if not 0 < batch.num_rows <= MAX_ROWS:
        raise BadFrame("row-count", f"{batch.num_rows} rows; a frame holds 1 to {MAX_ROWS}")
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
    (batch,) = table.to_batches()
    narrowed = pa.RecordBatch.from_arrays(
        [_narrow(batch.column(i)) for i in range(batch.num_columns)], names=batch.schema.names
    )
    return _encoded(listed[0].signal, narrowed, tuple(parts))


def _array(column: Column, columns: Mapping[str, Sequence[Any]]) -> pa.Array:
    if column.name not in columns:
        raise ValueError(f"column {column.name!r} is missing")
    array = pa.array(columns[column.name], type=_plain(column.type))
    if column.required and array.null_count:
        # One such row would have its whole frame refused by every reader.
        raise ValueError(f"column {column.name!r} is required, and {array.null_count} of its values are None")
    return _narrow(array.dictionary_encode()) if pa.types.is_dictionary(column.type) else array


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
    value = sink.getvalue().to_pybytes()
    times = pc.min_max(batch.column(signal.event_time_column))
    headers = (
        ("abdrift-signal", signal.name.encode()),
        ("abdrift-version", b"%d" % signal.version),
        ("abdrift-rows", b"%d" % batch.num_rows),
        ("abdrift-parts", msgspec.json.encode(parts)),
        ("abdrift-first-ms", b"%d" % times["min"].as_py()),
        ("abdrift-last-ms", b"%d" % times["max"].as_py()),
        ("abdrift-crc32", b"%08x" % zlib.crc32(value)),
    )
    return EncodedFrame(value, headers, batch.num_rows)


def _signal(headers: Mapping[str, bytes]) -> Signal:
    name = headers.get("abdrift-signal", b"").decode(errors="replace")
    if name not in SIGNALS:
        raise BadFrame("unknown-signal", f"no signal {name!r}" if name else "no header abdrift-signal: not a frame")
    signal = SIGNALS[name]
    version = headers.get("abdrift-version", b"").decode(errors="replace")
    if version != str(signal.version):
        raise BadFrame("unknown-version", f"{name} version {version!r}; this reader knows {signal.version}")
    return signal


def _intact(value: bytes, headers: Mapping[str, bytes]) -> None:
    """Raise `BadFrame` unless the value is what was sent. zstd and Arrow alone would let some flipped bits through."""
    if len(value) > MAX_VALUE_BYTES:
        raise BadFrame("too-large", f"{len(value)} bytes; at most {MAX_VALUE_BYTES}")
    if headers.get("abdrift-crc32") != b"%08x" % zlib.crc32(value):
        raise BadFrame("bad-checksum", "the value is not what header abdrift-crc32 was computed of")


def _batch(value: bytes) -> pa.RecordBatch:
    try:
        size_bytes = ipc.uncompressed_bytes(value)
        batches = _read(value) if size_bytes <= MAX_DECOMPRESSED_BYTES else []
        names = [name for batch in batches for name in batch.schema.names]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadFrame("bad-frame", f"not a readable Arrow stream: {error}") from error
    if size_bytes > MAX_DECOMPRESSED_BYTES:
        raise BadFrame("too-large", f"{size_bytes} bytes decompressed; at most {MAX_DECOMPRESSED_BYTES}")
    if len(batches) != 1:
        raise BadFrame("bad-frame", f"{len(batches)} record batches in the stream; a frame has one")
    if len(set(names)) != len(names):
        raise BadFrame("bad-frame", "two columns have the same name")
    return batches[0]


def _read(value: bytes) -> list[pa.RecordBatch]:
    with pa.ipc.open_stream(value, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    return batches


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
    # Batches are bounded by what abdrift-rows promises, before anything is decoded.
    if expected != rows or headers.get("abdrift-rows") != b"%d" % rows:
        raise BadFrame("row-count", f"the headers promise other than the {rows} rows that the frame has")
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
            default = pa.scalar(column.default, type=_plain(column.type))
            arrays.append(_typed(column, pa.repeat(default, batch.num_rows)))
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in signal.columns])


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _checked(column: Column, array: pa.Array) -> pa.Array:
    if _plain(array.type) != _plain(column.type):
        raise BadFrame("wrong-type", f"column {column.name!r} is {array.type}, not {column.type}")
    is_dictionary = pa.types.is_dictionary(array.type)
    # An index may be null, and so may the value in the dictionary that it points to.
    if not array.null_count and not (is_dictionary and array.dictionary.null_count):
        return array
    if column.required:
        raise BadFrame("null-value", f"column {column.name!r} is required and holds nulls")
    plain = array.dictionary_decode() if is_dictionary else array
    return _typed(column, plain.fill_null(pa.scalar(column.default, type=plain.type)))


def _typed(column: Column, plain: pa.Array) -> pa.Array:
    """Give plain values the column's encoding."""
    return plain.dictionary_encode() if pa.types.is_dictionary(column.type) else plain
