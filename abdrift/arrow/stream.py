"""One batch as an Arrow IPC stream: its schema, each dictionary, the batch, and the end."""

import struct
from collections.abc import Iterator, Sequence

from abdrift.arrow import flatbuffer
from abdrift.arrow.columns import Buffers

_V5 = 4
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
_INT, _FLOAT, _BINARY, _UTF8, _BOOL = 2, 3, 4, 5, 6
_DOUBLE = 2
_CONTINUES = 0xFFFFFFFF
_ALIGNMENT = 8
_INTEGERS = {"B": (8, False), "H": (16, False), "I": (32, False), "i": (32, True), "q": (64, True)}


def stream_of(columns: Sequence[Buffers]) -> bytes:
    """Return the stream of a batch with these columns, all of one length."""
    return b"".join(_messages(columns))


def _messages(columns: Sequence[Buffers]) -> Iterator[bytes]:
    fields = [_field(number, column) for number, column in enumerate(columns)]
    yield _message(_SCHEMA, flatbuffer.table(None, flatbuffer.tables(fields)), b"")
    for number, column in enumerate(columns):
        if column.dictionary:
            batch, body = _batch([column.dictionary])
            yield _message(_DICTIONARY_BATCH, flatbuffer.table(("q", number), batch), body)
    batch, body = _batch(columns)
    yield _message(_RECORD_BATCH, batch, body)
    yield struct.pack("<II", _CONTINUES, 0)


def _message(kind: int, header: flatbuffer.Child, body: bytes) -> bytes:
    metadata = flatbuffer.buffer(flatbuffer.table(("h", _V5), ("B", kind), header, ("q", len(body))))
    return struct.pack("<II", _CONTINUES, len(metadata)) + metadata + body


def _field(number: int, column: Buffers) -> flatbuffer.Child:
    kind, described = _type("text" if column.dictionary else column.kind)
    dictionary = flatbuffer.table(("q", number), _type(column.kind)[1]) if column.dictionary else None
    told = [
        flatbuffer.table(flatbuffer.string(key), flatbuffer.string(value)) for key, value in sorted(column.told.items())
    ]
    return flatbuffer.table(
        flatbuffer.string(column.name.encode()),
        ("?", True),
        ("B", kind),
        described,
        dictionary,
        flatbuffer.tables([]),
        flatbuffer.tables(told) if told else None,
    )


def _type(kind: str) -> tuple[int, flatbuffer.Child]:
    """Return a type's number and what describes it."""
    if kind in _INTEGERS:
        bits, signed = _INTEGERS[kind]
        return _INT, flatbuffer.table(("i", bits), ("?", signed))
    if kind == "d":
        return _FLOAT, flatbuffer.table(("h", _DOUBLE))
    return {"text": _UTF8, "bytes": _BINARY, "bits": _BOOL}[kind], flatbuffer.table()


def _batch(columns: Sequence[Buffers]) -> tuple[flatbuffer.Child, bytes]:
    """Return what tells of a batch, and its body: each column's buffers, the one for nulls empty."""
    body, places = bytearray(), []
    for column in columns:
        places.append((len(body), 0))
        for buffer in column.buffers:
            places.append((len(body), len(buffer)))
            body += buffer + bytes(-len(buffer) % _ALIGNMENT)
    nodes = flatbuffer.pairs([(column.rows, 0) for column in columns])
    return flatbuffer.table(("q", columns[0].rows), nodes, flatbuffer.pairs(places)), bytes(body)
