"""What stands around a frame: the headers of its Kafka record. The value itself is `abdrift.frames`' matter."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from abdrift.signals.schema import Signal

MAX_ROWS: Final = 1_000_000
CODEC: Final = "zstd"
LEVEL: Final = 1
BASE: Final = b"abdrift.base"
BEFORE: Final = b"abdrift.before"
JOINT: Final = b"abdrift.joint"

Headers = Sequence[tuple[str, bytes | None]]
"""As Kafka's clients give them: a header without a value has None."""


class Part(msgspec.Struct, frozen=True):
    """The rows of one lane within a frame: `rows` of them from `first_row` on."""

    source: str
    epoch: int
    sequence: int
    first_row: int
    rows: int


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """A frame as a Kafka record's value and headers."""

    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    rows: int


def sealed(
    signal: Signal, value: bytes, parts: tuple[Part, ...], times_ms: tuple[int, int], size_bytes: int
) -> EncodedFrame:
    """Return a frame with its headers.

    Args:
        signal: What the rows are.
        value: The Arrow stream, compressed.
        parts: Whose rows they are, in order.
        times_ms: The rows' first and last event time.
        size_bytes: Of the stream before it was compressed.

    """
    rows = sum(part.rows for part in parts)
    headers = (
        ("abdrift-signal", signal.name.encode()),
        ("abdrift-version", b"%d" % signal.version),
        ("abdrift-rows", b"%d" % rows),
        ("abdrift-parts", msgspec.json.encode(parts)),
        ("abdrift-first-ms", b"%d" % times_ms[0]),
        ("abdrift-last-ms", b"%d" % times_ms[1]),
        ("abdrift-encoding", CODEC.encode()),
        ("abdrift-size", b"%d" % size_bytes),
        ("abdrift-crc32", b"%08x" % zlib.crc32(value)),
    )
    return EncodedFrame(value, headers, rows)
