"""Writes FlatBuffers front to back: a table, then what it refers to. Enough of it for Arrow's metadata.

A reference is the distance from where it stands to what it refers to, which comes after it. A table begins with the
distance back to its vtable, which tells at which offset each of its fields stands.
"""

import struct
from collections.abc import Callable, Sequence

Child = Callable[[bytearray], int]
"""Appends something to what is written so far and returns where it begins."""
Scalar = tuple[str, int | bool]
"""A format of `struct`, and a value."""
Field = Scalar | Child | None

_REFERENCE_BYTES = 4
_ALIGNMENT = 8


def buffer(root: Child) -> bytes:
    """Return a whole buffer that holds one table, its length a multiple of eight bytes."""
    out = bytearray(_REFERENCE_BYTES)
    struct.pack_into("<I", out, 0, root(out))
    _pad(out, _ALIGNMENT)
    return bytes(out)


def table(*fields: Field) -> Child:
    """Return a table with these fields by slot; None leaves one at its default."""
    offsets, size_bytes = _layout(fields)
    vtable = struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), size_bytes, *offsets)

    def write(out: bytearray) -> int:
        _pad(out, _ALIGNMENT, before_bytes=len(vtable))
        out += vtable
        begin = len(out)
        out += struct.pack("<i", len(vtable)) + bytes(size_bytes - 4)
        for offset, field in zip(offsets, fields, strict=True):
            if isinstance(field, tuple):
                struct.pack_into(f"<{field[0]}", out, begin + offset, field[1])
        for offset, field in zip(offsets, fields, strict=True):
            if callable(field):
                _refer(out, begin + offset, field)
        return begin

    return write


def string(text: bytes) -> Child:
    """Return a string of UTF-8."""

    def write(out: bytearray) -> int:
        _pad(out, _REFERENCE_BYTES)
        begin = len(out)
        out += struct.pack("<I", len(text)) + text + b"\0"
        return begin

    return write


def tables(children: Sequence[Child]) -> Child:
    """Return a vector of tables."""

    def write(out: bytearray) -> int:
        _pad(out, _REFERENCE_BYTES)
        begin = len(out)
        out += struct.pack("<I", len(children)) + bytes(_REFERENCE_BYTES * len(children))
        for number, child in enumerate(children):
            _refer(out, begin + _REFERENCE_BYTES * (1 + number), child)
        return begin

    return write


def pairs(values: Sequence[tuple[int, int]]) -> Child:
    """Return a vector of structs of two 64-bit integers."""

    def write(out: bytearray) -> int:
        _pad(out, _ALIGNMENT, before_bytes=_REFERENCE_BYTES)
        begin = len(out)
        out += struct.pack(f"<I{2 * len(values)}q", len(values), *(each for pair in values for each in pair))
        return begin

    return write


def _layout(fields: Sequence[Field]) -> tuple[list[int], int]:
    """Return each field's offset from the table's begin, 0 for one that is left out, and the table's size."""
    offsets, end = [], 4
    for field in fields:
        if field is None:
            offsets.append(0)
            continue
        size_bytes = struct.calcsize(f"<{field[0]}") if isinstance(field, tuple) else _REFERENCE_BYTES
        end += -end % size_bytes
        offsets.append(end)
        end += size_bytes
    return offsets, end


def _refer(out: bytearray, at: int, child: Child) -> None:
    struct.pack_into("<I", out, at, child(out) - at)


def _pad(out: bytearray, to: int, before_bytes: int = 0) -> None:
    """Append zeros until what comes after `before_bytes` more begins at a multiple of `to`."""
    out += bytes(-(len(out) + before_bytes) % to)
