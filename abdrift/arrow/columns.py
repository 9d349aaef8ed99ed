"""Columns' values as Arrow's buffers. Nothing here is null: what a row lacks has its column's default."""

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from abdrift.envelope import BASE, BEFORE, JOINT
from abdrift.signals.schema import Column, Type

_NARROWEST = ((1 << 8, "B"), (1 << 16, "H"), (1 << 32, "I"))
_WIDE = {Type.INT32: "i", Type.INT64: "q", Type.FLOAT64: "d"}
_WIDEST = 1 << 63

assert sys.byteorder == "little", "Arrow's buffers are little-endian here"


@dataclass(frozen=True, slots=True)
class Buffers:
    """One column, or one dictionary."""

    name: str
    kind: str
    """As `array` names integers and floats; `text`, `bytes` or `bits` besides."""
    rows: int
    buffers: tuple[bytes, ...]
    """Without the one for nulls, which goes before them."""
    dictionary: "Buffers | None" = None
    told: dict[bytes, bytes] = field(default_factory=dict)
    """The field's metadata."""


def buffers_of(column: Column, values: Sequence[Any], before: Sequence[int] | None) -> Buffers:
    """Return a column's buffers; `before` are the values of the column that it precedes by little.

    Raises:
        TypeError, OverflowError: a value is not of the column's type.

    """
    match column.type:
        case Type.TEXT:
            return _text(column.name, values)
        case Type.UTF8:
            return _strings(column.name, "text", [value.encode() for value in _all(str, column, values)])
        case Type.BINARY:
            return _strings(column.name, "bytes", _all(bytes, column, values))
        case Type.BOOL:
            return Buffers(column.name, "bits", len(values), (_bits(_all(bool, column, values)),))
    if column.narrow:
        return _distances(column, values, before)
    return _numbers(column.name, _WIDE[column.type], values)


def joint_buffers_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, Buffers]:
    """Return text columns with the same indices, a dictionary entry each for every combination that occurs.

    None of them where there are more combinations than a byte counts.

    Raises:
        TypeError: a value is no text.

    """
    numbers: list[dict[str, int]] = [{} for _ in columns]
    rows = [
        tuple(known.setdefault(value, len(known)) for known, value in zip(numbers, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    combinations = sorted(set(rows))
    if len(columns) < 2 or len(combinations) > _NARROWEST[0][0]:  # noqa: PLR2004  two make a pair
        return {}
    places = {combination: place for place, combination in enumerate(combinations)}
    indices = bytes(places[row] for row in rows)
    first, found = next(iter(columns)), {}
    for name, known, own in zip(columns, numbers, zip(*combinations, strict=True), strict=True):
        words = _all(str, Column(name, Type.TEXT), list(known))
        dictionary = _strings("", "text", [words[number].encode() for number in own])
        told = {} if name == first else {JOINT: first.encode()}
        found[name] = Buffers(name, _NARROWEST[0][1], len(rows), (indices,), dictionary, told)
    return found


def _numbers(name: str, kind: str, values: Sequence[Any], told: dict[bytes, bytes] | None = None) -> Buffers:
    return Buffers(name, kind, len(values), (array(kind, values).tobytes(),), told=told or {})


def _text(name: str, values: Sequence[Any]) -> Buffers:
    """Return distinct texts, in the order of their first rows, and each row's number among them."""
    numbers: dict[str, int] = {}
    indices = [numbers.setdefault(value, len(numbers)) for value in values]
    kind = next(kind for size, kind in _NARROWEST if len(numbers) <= size)
    dictionary = _strings("", "text", [text.encode() for text in _all(str, Column(name, Type.TEXT), list(numbers))])
    return Buffers(name, kind, len(values), (array(kind, indices).tobytes(),), dictionary)


def _strings(name: str, kind: str, values: Sequence[bytes]) -> Buffers:
    ends = array("i", accumulate(map(len, values), initial=0))
    return Buffers(name, kind, len(values), (ends.tobytes(), b"".join(values)))


def _bits(values: Sequence[bool]) -> bytes:
    return sum(1 << number for number, value in enumerate(values) if value).to_bytes((len(values) + 7) // 8, "little")


def _distances(column: Column, values: Sequence[int], before: Sequence[int] | None) -> Buffers:
    """Return unsigned distances from a base, told in the metadata; the values themselves where they are wide."""
    wide = _numbers(column.name, _WIDE[column.type], values)
    told = {}
    if before is not None and _span([*values, *before]) < _WIDEST:
        values = [other - value for value, other in zip(values, before, strict=True)]
        told = {BEFORE: str(column.before).encode()}
    base = min(values)
    for size, kind in _NARROWEST:
        if _span(values) < size:
            told[BASE] = b"%d" % base
            return _numbers(column.name, kind, [value - base for value in values], told)
    return wide


def _span(values: Sequence[int]) -> int:
    return max(values) - min(values)


def _all(kind: type, column: Column, values: Sequence[Any]) -> Sequence[Any]:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(f"column {column.name!r} holds {type(value).__name__}, not {kind.__name__}")
    return values
