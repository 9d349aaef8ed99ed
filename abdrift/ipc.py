"""How much memory an Arrow IPC stream asks for, told before anything of it is decompressed.

A compressed buffer begins with its uncompressed length, which Arrow allocates before it decompresses, and holds the
data to afterwards. So a few kilobytes can ask for gigabytes. pyarrow tells neither these lengths nor where buffers
lie, hence the few fields of the metadata's flatbuffers are read here.

Source: Arrow columnar format 1.5, "Encapsulated message format" and "Recordbatch body compression"; `Message.fbs`.
"""

import struct
from collections.abc import Iterator
from typing import Final

_FIELDS: Final = 4
_OFFSETS_BEGIN: Final = 4
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_BUFFER_BYTES: Final = 16
_NOT_COMPRESSED: Final = -1
_LENGTH_BYTES: Final = 8
_CONTINUES: Final = 0xFFFFFFFF

_prefix = struct.Struct("<II").unpack_from
_u16 = struct.Struct("<H").unpack_from
_i32 = struct.Struct("<i").unpack_from
_u32 = struct.Struct("<I").unpack_from
_offsets = tuple(struct.Struct(f"<{count}H").unpack_from for count in range(_FIELDS + 1))
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
    except (struct.error, IndexError) as error:
        raise ValueError(f"the metadata points outside itself: {error}") from error
    return max(total, len(stream))


def _message_bytes(metadata: memoryview, rest: memoryview) -> tuple[int, int]:
    """Return what a message's body takes decompressed, and as it lies in the stream."""
    _, kind_at, header_at, size_at = _fields(metadata, _pointed_to(metadata, 0))
    kind = metadata[kind_at] if kind_at else 0
    size_bytes = int(_i64(metadata, size_at)[0]) if size_at else 0
    if not 0 <= size_bytes <= len(rest):
        raise ValueError(f"a body of {size_bytes} bytes where {len(rest)} are left")
    if kind == _DICTIONARY_BATCH and header_at:
        _, header_at, *_ = _fields(metadata, _pointed_to(metadata, header_at))
    elif kind != _RECORD_BATCH:
        return 0, size_bytes
    if not header_at:
        return size_bytes, size_bytes
    _, _, buffers_at, compression_at = _fields(metadata, _pointed_to(metadata, header_at))
    if not compression_at:
        return size_bytes, size_bytes
    body = rest[:size_bytes]
    asked = sum(_buffer_bytes(body, offset, length) for offset, length in _buffers(metadata, buffers_at))
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


def _fields(metadata: memoryview, table: int) -> list[int]:
    """Return where the first four fields of a flatbuffers table lie, 0 where it has none of that number.

    Of a `Message`: version, kind of header, header, bytes of the body. Of a `DictionaryBatch`: id, record batch. Of a
    `RecordBatch`: rows, nodes, buffers, compression.
    """
    offsets = table - _i32(metadata, table)[0]
    if offsets < 0:
        raise ValueError("the metadata points before its beginning")
    # A table's offsets end with its last field that is not absent.
    there = min(max(0, (_u16(metadata, offsets)[0] - _OFFSETS_BEGIN) // 2), _FIELDS)
    found = [offset and table + offset for offset in _offsets[there](metadata, offsets + _OFFSETS_BEGIN)]
    return found + [0] * (_FIELDS - there)


def _pointed_to(metadata: memoryview, at: int) -> int:
    """Return where the table or vector lies that a field points to."""
    return at + int(_u32(metadata, at)[0])


def _buffers(metadata: memoryview, at: int) -> Iterator[tuple[int, int]]:
    """Yield offset and length of each `Buffer` of a field that is a vector of them."""
    if not at:
        return
    start = _pointed_to(metadata, at)
    for number in range(_u32(metadata, start)[0]):
        yield _buffer(metadata, start + 4 + number * _BUFFER_BYTES)
