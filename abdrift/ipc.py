"""How much memory an Arrow IPC stream asks for, told before anything of it is decompressed.

A compressed buffer begins with its uncompressed length, which Arrow allocates before it decompresses, and holds the
data to afterwards. So a few kilobytes can ask for gigabytes. pyarrow tells neither these lengths nor where buffers
lie, hence the few fields of the metadata's flatbuffers are read here.

Source: Arrow columnar format 1.5, "Encapsulated message format" and "Recordbatch body compression"; `Message.fbs`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

_HEADER_TYPE, _HEADER = 1, 2
_BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 3
_DICTIONARY_DATA = 1
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_BUFFER_BYTES: Final = 16
_NOT_COMPRESSED: Final = -1
_LENGTH_BYTES: Final = 8


def uncompressed_bytes(stream: bytes) -> int:
    """Return the bytes that all buffers of a stream take once decompressed; the stream's own size where it is larger.

    Raises:
        ValueError, pyarrow.ArrowException, OSError: it is no Arrow stream.

    """
    total = 0
    source = pa.BufferReader(stream)
    while True:
        try:
            message = pa.ipc.read_message(source)
        except EOFError:
            return max(total, len(stream))
        total += _message_bytes(message.metadata.to_pybytes(), message.body)


def _message_bytes(metadata: bytes, body: pa.Buffer | None) -> int:
    try:
        message = _Table(metadata, _offset(metadata, 0))
        kind, header = message.byte(_HEADER_TYPE), message.table(_HEADER)
        if kind == _DICTIONARY_BATCH and header:
            header = header.table(_DICTIONARY_DATA)
        elif kind != _RECORD_BATCH:
            return 0
        if header is None or body is None:
            return 0
        if header.table(_BATCH_COMPRESSION) is None:
            return int(body.size)
        return sum(_buffer_bytes(body, offset, length) for offset, length in header.buffers(_BATCH_BUFFERS))
    except struct.error as error:
        raise ValueError(f"the metadata points outside itself: {error}") from error


def _buffer_bytes(body: pa.Buffer, offset: int, length: int) -> int:
    if length < _LENGTH_BYTES:
        return 0
    if not 0 <= offset <= body.size - length:
        raise ValueError(f"a buffer of {length} bytes at {offset} lies outside a body of {body.size}")
    (promised,) = struct.unpack("<q", body.slice(offset, _LENGTH_BYTES).to_pybytes())
    if promised < _NOT_COMPRESSED:
        raise ValueError(f"a buffer promises {promised} bytes")
    return length if promised == _NOT_COMPRESSED else int(promised)


@dataclass(frozen=True, slots=True)
class _Table:
    """A flatbuffers table: `position` points to its offset to the table of its fields."""

    data: bytes
    position: int

    def byte(self, field: int) -> int:
        """Return a field of one byte; 0 where it is absent."""
        at = self._field(field)
        return self.data[at] if at is not None and at < len(self.data) else 0

    def table(self, field: int) -> "_Table | None":
        """Return a field that is a table."""
        at = self._field(field)
        return None if at is None else _Table(self.data, at + _offset(self.data, at))

    def buffers(self, field: int) -> Iterator[tuple[int, int]]:
        """Yield offset and length of each `Buffer` of a field that is a vector of them."""
        at = self._field(field)
        if at is None:
            return
        start = at + _offset(self.data, at)
        for number in range(_offset(self.data, start)):
            offset, length = struct.unpack_from("<qq", self.data, start + 4 + number * _BUFFER_BYTES)
            yield offset, length

    def _field(self, field: int) -> int | None:
        (back,) = struct.unpack_from("<i", self.data, self.position)
        fields = self.position - back
        if fields < 0:
            raise ValueError("the metadata points before its beginning")
        (size_bytes,) = struct.unpack_from("<H", self.data, fields)
        slot = 4 + 2 * field
        if slot + 2 > size_bytes:
            return None
        (relative,) = struct.unpack_from("<H", self.data, fields + slot)
        return self.position + relative if relative else None


def _offset(data: bytes, at: int) -> int:
    (value,) = struct.unpack_from("<I", data, at)
    return int(value)
