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

_HEADER_TYPE, _HEADER, _BODY_BYTES = 1, 2, 3
_BATCH_BUFFERS, _BATCH_COMPRESSION = 2, 3
_DICTIONARY_DATA = 1
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_BUFFER_BYTES: Final = 16
_NOT_COMPRESSED: Final = -1
_LENGTH_BYTES: Final = 8
_CONTINUES: Final = 0xFFFFFFFF

_prefix = struct.Struct("<II").unpack_from
_u16 = struct.Struct("<H").unpack_from
_i32 = struct.Struct("<i").unpack_from
_u32 = struct.Struct("<I").unpack_from
_i64 = struct.Struct("<q").unpack_from
_buffer = struct.Struct("<qq").unpack_from


def uncompressed_bytes(stream: memoryview) -> int:
    """Return the bytes that all buffers of a stream take once decompressed; the stream's own size where it is larger.

    Raises:
        ValueError: it is no Arrow stream.

    """
    total = at = 0
    try:
        while at < len(stream):
            marker, metadata_bytes = _prefix(stream, at)
            if marker != _CONTINUES:
                raise ValueError("a message begins without the marker that goes before its length")
            if not metadata_bytes:
                break
            body = at + 8 + metadata_bytes
            if body > len(stream):
                raise ValueError(f"a message's metadata ends at {body}, the stream at {len(stream)}")
            asked, size_bytes = _message_bytes(stream[at + 8 : body], stream[body:])
            total += asked
            at = body + size_bytes
    except struct.error as error:
        raise ValueError(f"the metadata points outside itself: {error}") from error
    return max(total, len(stream))


def _message_bytes(metadata: memoryview, rest: memoryview) -> tuple[int, int]:
    """Return what a message's body takes decompressed, and as it lies in the stream."""
    message = _Table(metadata, _u32(metadata, 0)[0])
    kind, header, size_bytes = message.byte(_HEADER_TYPE), message.table(_HEADER), message.long(_BODY_BYTES)
    if not 0 <= size_bytes <= len(rest):
        raise ValueError(f"a body of {size_bytes} bytes where {len(rest)} are left")
    if kind == _DICTIONARY_BATCH and header:
        header = header.table(_DICTIONARY_DATA)
    elif kind != _RECORD_BATCH:
        return 0, size_bytes
    if header is None or header.table(_BATCH_COMPRESSION) is None:
        return size_bytes, size_bytes
    body = rest[:size_bytes]
    asked = sum(_buffer_bytes(body, offset, length) for offset, length in header.buffers(_BATCH_BUFFERS))
    return asked, size_bytes


def _buffer_bytes(body: memoryview, offset: int, length: int) -> int:
    if length < _LENGTH_BYTES:
        return 0
    if not 0 <= offset <= len(body) - length:
        raise ValueError(f"a buffer of {length} bytes at {offset} lies outside a body of {len(body)}")
    (promised,) = _i64(body, offset)
    if promised < _NOT_COMPRESSED:
        raise ValueError(f"a buffer promises {promised} bytes")
    return length if promised == _NOT_COMPRESSED else int(promised)


@dataclass(slots=True)
class _Table:
    """A flatbuffers table, at its offset to the table of its fields."""

    data: memoryview
    position: int

    def byte(self, field: int) -> int:
        """Return a field of one byte; 0 where it is absent."""
        at = self._field(field)
        return self.data[at] if at is not None and at < len(self.data) else 0

    def long(self, field: int) -> int:
        """Return a field of eight bytes; 0 where it is absent."""
        at = self._field(field)
        return 0 if at is None else int(_i64(self.data, at)[0])

    def table(self, field: int) -> "_Table | None":
        """Return a field that is a table."""
        at = self._field(field)
        return None if at is None else _Table(self.data, at + _u32(self.data, at)[0])

    def buffers(self, field: int) -> Iterator[tuple[int, int]]:
        """Yield offset and length of each `Buffer` of a field that is a vector of them."""
        at = self._field(field)
        if at is None:
            return
        start = at + _u32(self.data, at)[0]
        for number in range(_u32(self.data, start)[0]):
            yield _buffer(self.data, start + 4 + number * _BUFFER_BYTES)

    def _field(self, field: int) -> int | None:
        fields = self.position - _i32(self.data, self.position)[0]
        if fields < 0:
            raise ValueError("the metadata points before its beginning")
        slot = 4 + 2 * field
        if slot + 2 > _u16(self.data, fields)[0]:
            return None
        (relative,) = _u16(self.data, fields + slot)
        return self.position + relative if relative else None
