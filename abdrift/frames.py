"""Frames: thousands of rows of one signal in one Kafka record, as a compressed Arrow IPC stream.

The value is an Arrow stream, compressed as a whole (header `abdrift-encoding`), so that pyarrow, polars or Spark read
it: `pyarrow.ipc.open_stream(pyarrow.CompressedInputStream(value, "zstd"))`. Arrow's own compression, a buffer at a
time, sets zstd up twenty times a frame, which took longer than all else together
(docs/decisions/0008-firehose.md). How columns are made small is told in `abdrift.columns`.

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
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from abdrift import ipc
from abdrift.columns import BadFrame, Sent, made_small, narrow, read, restored, value_type
from abdrift.envelope import CODEC, LEVEL, MAX_ROWS, EncodedFrame, Headers, Part, sealed
from abdrift.signals.alerts import ALERTS
from abdrift.signals.events import EVENTS
from abdrift.signals.levels import LEVELS
from abdrift.signals.logs import LOGS
from abdrift.signals.objects import OBJECTS
from abdrift.signals.rates import RATES
from abdrift.signals.samples import SAMPLES
from abdrift.signals.schema import Column, Signal, Type

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in (OBJECTS, EVENTS, SAMPLES, LOGS, ALERTS, RATES, LEVELS)}

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

MAX_VALUE_BYTES = 8 * 1024 * 1024
MAX_DECOMPRESSED_BYTES = 512 * 1024 * 1024
"""A frame that would take more memory is refused before it does."""

_READ = pa.ipc.IpcReadOptions(use_threads=False)
_WRITE = pa.ipc.IpcWriteOptions(use_threads=False)


@dataclass(frozen=True)
class Frame:
    """A decoded frame: its columns as they were sent, or in the signal's types, whichever is asked for."""

    signal: Signal
    parts: tuple[Part, ...]
    given: pa.RecordBatch | Mapping[str, Sent]
    """Exactly the signal's columns in order, or those that were asked for."""

    @cached_property
    def rows(self) -> int:
        """The number of rows."""
        return sum(part.rows for part in self.parts)

    @cached_property
    def columns(self) -> Mapping[str, Sent]:
        """The columns as they were sent, by name."""
        if not isinstance(self.given, pa.RecordBatch):
            return self.given
        return read(self.signal, tuple(map(self.signal.column, self.given.schema.names)), self.given)

    @cached_property
    def batch(self) -> pa.RecordBatch:
        """The columns in the signal's types."""
        if isinstance(self.given, pa.RecordBatch):
            return self.given
        arrays = [restored(self.signal.column(name), sent) for name, sent in self.given.items()]
        return pa.RecordBatch.from_arrays(arrays, names=list(self.given))


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
    return Frame(signal, parts, read(signal, wanted, batch))


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
        [narrow(batch.column(i)) for i in range(batch.num_columns)], names=batch.schema.names
    )
    return _encoded(listed[0].signal, narrowed, tuple(parts))


def _array(column: Column, columns: Mapping[str, Sequence[Any]]) -> pa.Array:
    if column.name not in columns:
        raise ValueError(f"column {column.name!r} is missing")
    given = columns[column.name]
    if isinstance(given, pa.DictionaryArray) and given.type.value_type == value_type(column):
        distinct = _distinct(given)
        if distinct is not None:
            return distinct if column.type is Type.TEXT else distinct.dictionary_decode()
    array = pa.array(given, type=value_type(column))
    if column.required and array.null_count:
        # One such row would have its whole frame refused by every reader.
        raise ValueError(f"column {column.name!r} is required, and {array.null_count} of its values are None")
    return narrow(array.dictionary_encode()) if column.type is Type.TEXT else array


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
    return narrow(pa.DictionaryArray.from_arrays(pa.array(codes[indices]), encoded.dictionary))


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
    plain = _stream(made_small(signal, batch))
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


def _stream(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_WRITE) as writer:
        writer.write_batch(batch)
    return sink.getvalue()
