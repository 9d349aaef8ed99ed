"""Protocol buffers' wire format, as far as remote write needs it. Pure.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

_MAX_VARINT_BYTES: Final = 10
_MASK: Final = (1 << 64) - 1
_MORE: Final = 0x80
_SHORT_KEYS: Final = frozenset(number << 3 | 2 for number in range(1, 16))
"""Of BYTES fields up to 15."""


class Wire(IntEnum):
    """How a field's value is written."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


class MalformedError(ValueError):
    """Bytes that are no message of the kind expected."""


def varint(raw: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return the unsigned number of 64 bits that begins at a place, and where it ends.

    Raises:
        MalformedError: it does not end before `stop`, or has more than ten bytes.

    """
    value = 0
    for place in range(_MAX_VARINT_BYTES):
        if at + place >= stop:
            raise MalformedError("a number is cut short")
        byte = raw[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < _MORE:
            return value & _MASK, at + place + 1
    raise MalformedError("a number has more than ten bytes")


def signed(value: int) -> int:
    """Return the two's complement of an unsigned number of 64 bits, as `int64` is written."""
    return value - (1 << 64) if value >> 63 else value


def expect_bytes(wire: int, what: str) -> None:
    """Raise MalformedError where a field of this wire type is not of BYTES; `what` names it."""
    if wire != Wire.BYTES:
        raise MalformedError(f"{what} has the wire type {wire}")


def fields(raw: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type and bounds of each field between two places; bounds are those of its value alone.

    A BYTES field's bounds leave out its length.

    Raises:
        MalformedError: what stands there is no sequence of fields.

    """
    while at < stop:
        key = raw[at]
        if key in _SHORT_KEYS and at + 1 < stop and raw[at + 1] < _MORE and at + 2 + raw[at + 1] <= stop:
            # As nearly all are: a key and a length of one byte each.
            start, at = at + 2, at + 2 + raw[at + 1]
            yield key >> 3, Wire.BYTES, start, at
            continue
        key, start = varint(raw, at, stop)
        number, wire = key >> 3, key & 7
        if not number:
            raise MalformedError("a field has the number 0")
        match wire:
            case Wire.VARINT:
                _, at = varint(raw, start, stop)
            case Wire.FIXED64:
                at = start + 8
            case Wire.FIXED32:
                at = start + 4
            case Wire.BYTES:
                size, start = varint(raw, start, stop)
                at = start + size
            case _:
                raise MalformedError(f"field {number} has the wire type {wire}")
        if at > stop:
            raise MalformedError(f"field {number} ends after the message that it is in")
        yield number, wire, start, at


def run(raw: bytes, at: int, tag: int, starts: list[int], stops: list[int]) -> int:
    """Note the bounds of all BYTES fields of one tag (a single byte) that follow one another; return where they end.

    Raises:
        MalformedError: one of them is cut short.

    """
    end = len(raw)
    try:
        while at < end and raw[at] == tag:
            size = raw[at + 1]
            if size < _MORE:
                start = at + 2
            elif (high := raw[at + 2]) < _MORE:
                size = size & 0x7F | high << 7
                start = at + 3
            else:
                size, start = varint(raw, at + 1, end)
            at = start + size
            starts.append(start)
            stops.append(at)
    except IndexError as error:
        raise MalformedError("a length is cut short") from error
    if at > end:
        raise MalformedError("a field ends after the message that it is in")
    return at
