"""Frames: thousands of rows of one signal in one Kafka record, as a compressed Arrow IPC stream.

The value is an Arrow stream, compressed as a whole (header `abdrift-encoding`), so that pyarrow, polars or Spark read
it: `pyarrow.ipc.open_stream(pyarrow.CompressedInputStream(value, "zstd"))`. Arrow's own compression, a buffer at a
time, sets zstd up twenty times a frame, which took longer than all else together
(docs/decisions/0008-firehose.md). Integers that lie close together are sent as distances: a field's metadata says
from what (`abdrift.base`, and `abdrift.before` for the column they precede).

What the pipeline needs about a frame stands in the record's headers. A frame holds rows of one signal from one source,
all of whose clusters hash to the record's partition. Small frames can be merged on the way in: the merged one keeps
each part's lane and row range.

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
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abdrift import ipc
from abdrift.envelope import BASE, BEFORE, CODEC, LEVEL, MAX_ROWS, EncodedFrame, Headers, Part, sealed
from abdrift.signals.alerts import ALERTS
from abdrift.signals.events import EVENTS
from abdrift.signals.levels import LEVELS
from abdrift.signals.logs import LOGS
from abdrift.signals.objects import OBJECTS
from abdrift.signals.rates import RATES
from abdrift.signals.samples import SAMPLES
from abdrift.signals.schema import Column, Signal, Type

__all__ = [
    "MAX_DECOMPRESSED_BYTES",
    "MAX_ROWS",
    "MAX_VALUE_BYTES",
    "SIGNALS",
    "BadFrame",
    "EncodedFrame",
    "Frame",
    "Headers",
    "Part",
    "decode",
    "encode",
    "merge",
]

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in (OBJECTS, EVENTS, SAMPLES, LOGS, ALERTS, RATES, LEVELS)}

MAX_VALUE_BYTES = 8 * 1024 * 1024
MAX_DECOMPRESSED_BYTES = 512 * 1024 * 1024
"""A frame that would take more memory is refused before it does."""

_ARROW: dict[Type, pa.DataType] = {
    Type.TEXT: pa.dictionary(pa.int32(), pa.utf8()),
    Type.UTF8: pa.utf8(),
    Type.BINARY: pa.binary(),
    Type.INT32: pa.int32(),
    Type.INT64: pa.int64(),
    Type.FLOAT64: pa.float64(),
    Type.BOOL: pa.bool_(),
}
_NARROWEST = ((1 << 8, np.uint8), (1 << 16, np.uint16), (1 << 32, np.uint32))
_READ = pa.ipc.IpcReadOptions(use_threads=False)
_WRITE = pa.ipc.IpcWriteOptions(use_threads=False)


class BadFrame(ValueError):  # noqa: N818  named as the design names it
    """A record that is no readable frame. `reason` is a stable word for dead letters and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame. `batch` has exactly the signal's columns in order, or those that were asked for."""

    signal: Signal
    parts: tuple[Part, ...]
    batch: pa.RecordBatch

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.batch.num_rows)


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


def decode(value: bytes, headers: Headers, columns: Sequence[str] | None = None) -> Frame:
    """Decode a record.

    Args:
        value: As it came.
        headers: As they came.
        columns: Only these, in this order; what is wrong with others goes unseen. None: all of the signal's.

    Raises:
        BadFrame: it is no frame of a signal and version that this code knows, or it is damaged.

    """
    given = {name: content or b"" for name, content in headers}
    signal = _signal(given)
    _intact(value, given)
    batch = _batch(_unpacked(value, given))
    if not 0 < batch.num_rows <= MAX_ROWS:
        raise BadFrame("row-count", f"{batch.num_rows} rows; a frame holds 1 to {MAX_ROWS}")
    parts = _parts(given, batch.num_rows)
    wanted = signal.columns if columns is None else tuple(map(signal.column, columns))
    return Frame(signal, parts, _conform(signal, wanted, batch))


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
    given = columns[column.name]
    if isinstance(given, pa.DictionaryArray) and given.type.value_type == _plain(_ARROW[column.type]):
        distinct = _distinct(given)
        if distinct is not None:
            return distinct if column.type is Type.TEXT else distinct.dictionary_decode()
    array = pa.array(given, type=_plain(_ARROW[column.type]))
    if column.required and array.null_count:
        # One such row would have its whole frame refused by every reader.
        raise ValueError(f"column {column.name!r} is required, and {array.null_count} of its values are None")
    return _narrow(array.dictionary_encode()) if column.type is Type.TEXT else array


def _distinct(array: pa.DictionaryArray) -> pa.DictionaryArray | None:
    """Return the array with each value that it has once in its dictionary, narrow; None where it has nulls.

    The same as to encode it anew, without a look at any row's value.
    """
    if array.null_count or array.dictionary.null_count:
        return None
    indices = np.asarray(array.indices)
    used = np.zeros(len(array.dictionary), dtype=bool)
    used[indices] = True
    encoded = array.dictionary.take(pa.array(np.flatnonzero(used))).dictionary_encode()
    codes = np.zeros(len(used), dtype=np.int32)
    codes[used] = np.asarray(encoded.indices)
    return _narrow(pa.DictionaryArray.from_arrays(pa.array(codes[indices]), encoded.dictionary))


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
    plain = _stream(_sent(signal, batch))
    value = pa.Codec(CODEC, compression_level=LEVEL).compress(plain, asbytes=True)
    times = pc.min_max(batch.column(signal.event_time_column))
    return sealed(signal, value, parts, (times["min"].as_py(), times["max"].as_py()), plain.size)


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


def _unpacked(value: bytes, headers: Mapping[str, bytes]) -> memoryview:
    """Return the Arrow stream that a value is, or holds compressed."""
    encoding, promised = headers.get("abdrift-encoding"), headers.get("abdrift-size", b"")
    if encoding is None:
        return memoryview(value)
    if encoding != CODEC.encode():
        raise BadFrame("unknown-encoding", f"header abdrift-encoding is {encoding!r}; this reader knows {CODEC}")
    if not promised.isdigit():
        raise BadFrame("bad-header", f"header abdrift-size is {promised!r}, no number of bytes")
    if len(promised) > len(str(MAX_DECOMPRESSED_BYTES)) or int(promised) > MAX_DECOMPRESSED_BYTES:
        raise BadFrame("too-large", f"{promised.decode()} bytes decompressed; at most {MAX_DECOMPRESSED_BYTES}")
    try:
        return memoryview(pa.Codec(CODEC).decompress(value, int(promised)))
    except (pa.ArrowException, OSError) as error:
        raise BadFrame("bad-frame", f"not {CODEC} of the {promised.decode()} bytes promised: {error}") from error


def _batch(stream: memoryview) -> pa.RecordBatch:
    try:
        size_bytes = ipc.uncompressed_bytes(stream)
        batches = _read(stream) if size_bytes <= MAX_DECOMPRESSED_BYTES else []
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


def _read(stream: memoryview) -> list[pa.RecordBatch]:
    with pa.ipc.open_stream(pa.py_buffer(stream), options=_READ) as reader:
        batches = list(reader)
    for batch in batches:
        # That buffers are as long as their columns need; what lies in them is looked at where a column is read.
        batch.validate()
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


def _conform(signal: Signal, wanted: Sequence[Column], batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with exactly the columns wanted: unknown ones dropped, optional ones filled."""
    arrays = []
    for column in wanted:
        number = batch.schema.get_field_index(column.name)
        if number >= 0:
            arrays.append(_checked(column, _received(signal, column, batch, number)))
        elif column.required:
            raise BadFrame("missing-column", f"{signal.name} needs the column {column.name!r}")
        else:
            default = pa.scalar(column.default, type=_plain(_ARROW[column.type]))
            arrays.append(_typed(column, pa.repeat(default, batch.num_rows)))
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in wanted])


def _received(signal: Signal, column: Column, batch: pa.RecordBatch, number: int) -> pa.Array:
    """Return a column as it was before it was made small, its contents found to be within their bounds."""
    array = batch.column(number)
    try:
        if not pa.types.is_dictionary(array.type) or array.null_count:
            array.validate(full=True)
        else:
            # What full validation finds, without its second look at each index.
            array.dictionary.validate(full=True)
            highest = int(np.asarray(array.indices).max(initial=0))
            if pa.types.is_signed_integer(array.type.index_type) or highest >= len(array.dictionary):
                array.validate(full=True)
    except pa.ArrowException as error:
        raise BadFrame("bad-frame", f"column {column.name!r}: {error}") from error
    told = batch.schema.field(number).metadata
    if not told or BASE not in told or not column.narrow:
        return array
    return _restored(signal, column, batch, array, told)


def _sent(signal: Signal, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with its narrow columns as distances, where these are smaller."""
    fields, arrays = [], []
    for field, array in zip(batch.schema, batch.columns, strict=True):
        column = signal.column(field.name)
        told = None
        if column.narrow:
            before = None if column.before is None else batch.column(column.before)
            array, told = _distances(column, array, before)  # noqa: PLW2901  the same column, made small
        fields.append(pa.field(field.name, array.type, metadata=told))
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _distances(column: Column, array: pa.Array, before: pa.Array | None) -> tuple[pa.Array, dict[bytes, bytes] | None]:
    """Return unsigned distances from a base and the metadata that names it; the array itself where they are wide."""
    values = np.asarray(array).astype(np.int64)
    told = {}
    if before is not None:
        other = np.asarray(before).astype(np.int64)
        if _span(values, other) < 1 << 63:
            values, told = other - values, {BEFORE: str(column.before).encode()}
    base = int(values.min())
    for size, kind in _NARROWEST:
        if _span(values) < size:
            return pa.array((values - base).astype(kind)), told | {BASE: b"%d" % base}
    return array, None


def _span(*arrays: Any) -> int:
    return max(int(values.max()) for values in arrays) - min(int(values.min()) for values in arrays)


def _restored(
    signal: Signal, column: Column, batch: pa.RecordBatch, array: pa.Array, told: Mapping[bytes, bytes]
) -> pa.Array:
    """Return the values that distances stand for. Hostile ones may wrap around; they stay integers of the type."""
    if not pa.types.is_unsigned_integer(array.type) or array.null_count:
        raise BadFrame("wrong-type", f"column {column.name!r} is {array.type}, not distances from a base")
    try:
        base = int(told[BASE])
        values = np.asarray(array)
        if column.before is not None and BEFORE in told:
            (other,) = _conform(signal, (signal.column(column.before),), batch).columns
            return pa.array(np.asarray(other) - (values.astype(np.int64) + base), type=_ARROW[column.type])
        kind = np.dtype(_ARROW[column.type].to_pandas_dtype())
        limits = np.iinfo(kind)
        if limits.min <= base and base + int(values.max(initial=0)) <= limits.max:
            return pa.array(np.add(values, kind.type(base), dtype=kind, casting="unsafe"), type=_ARROW[column.type])
    except (ValueError, OverflowError) as error:
        raise BadFrame("bad-frame", f"column {column.name!r} has the base {told[BASE]!r}") from error
    raise BadFrame("wrong-type", f"column {column.name!r} holds what is no {column.type}")


def _stream(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_WRITE) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _checked(column: Column, array: pa.Array) -> pa.Array:
    if _plain(array.type) != _plain(_ARROW[column.type]):
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
    return plain.dictionary_encode() if column.type is Type.TEXT else plain
