"""The Lumberjack protocol, by which Beats and Logstash send: bytes in, batches of events out. No I/O.

Sources: PROTOCOL.md of Logstash's beats input, and what its parser, go-lumber's and Ruby's client do. A window frame
says how many events come; they follow as JSON frames (`2J`), or as frames of names and values (`1D`), which is all that
Logstash's own lumberjack output writes; either may stand in zlib-compressed frames. Every event has a sequence number,
by which it is acknowledged.

Nothing is taken on trust: lengths, windows and what a compressed frame comes to are bounded, and it is inflated in
small steps, whose events are handed on before the next.
"""

import struct
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from pydantic import Field

from abdrift.configuration import Settings

VERSIONS: Final = (ord("1"), ord("2"))
PARTIAL_SINCE: Final = ord("2")
"""From this version on a window may be acknowledged in parts, and an acknowledgement of 0 says: still at work."""

_STEP_BYTES: Final = 64 * 1024
_MAX_PAIRS: Final = 1_000
_SHORT: Final = struct.Struct(">I")
_LONG: Final = struct.Struct(">II")

Event = bytes | dict[str, str]
"""JSON as it was sent, or version 1's names and values."""


class _Kind(IntEnum):
    """A frame's second byte."""

    WINDOW = ord("W")
    JSON = ord("J")
    DATA = ord("D")
    COMPRESSED = ord("C")


class ProtocolError(ValueError):
    """What was sent is no Lumberjack. `reason` is from a fixed set."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FrameLimits(Settings):
    """What a connection may send."""

    window_events: int = Field(default=65_536, ge=1, description="Events of one window.")
    event_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1, description="Of one event; Filebeat's lines are of 10 MiB at most."
    )
    compressed_bytes: int = Field(default=32 * 1024 * 1024, ge=1, description="Of one compressed frame.")
    inflated_bytes: int = Field(default=256 * 1024 * 1024, ge=1, description="Of what one compressed frame comes to.")
    batch_events: int = Field(default=2_048, ge=1, description="After so many, a part of a window is sent to Kafka.")
    batch_bytes: int = Field(default=1024 * 1024, ge=1, description="After so many, likewise.")


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to be acknowledged together: a window, or a part of one."""

    version: int
    sequence: int
    """Of the last event; 0 for an empty window."""
    events: list[Event]
    ends_window: bool


@dataclass(slots=True)
class _Inflating:
    """A compressed frame that is being read."""

    left_bytes: int
    """Of the frame, not read yet."""
    zlib: "zlib._Decompress" = field(default_factory=zlib.decompressobj)
    plain: bytearray = field(default_factory=bytearray)
    total_bytes: int = 0
    has_more: bool = False
    """Whether the last step filled its room, so that there may be more without further bytes."""


class Decoder:
    """Decodes one connection's bytes. After a `ProtocolError` there is no going on."""

    def __init__(self, limits: FrameLimits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._inflating: _Inflating | None = None
        self._version = 0
        self._expected = 0
        """Events of the window that have not come."""
        self._events: list[Event] = []
        self._size_bytes = 0
        self._sequence = 0

    @property
    def held_bytes(self) -> int:
        """How much of an event that is not whole yet is held."""
        return len(self._buffer) + (len(self._inflating.plain) if self._inflating else 0)

    @property
    def is_between_windows(self) -> bool:
        """Whether nothing has begun that has not ended."""
        return not (self._expected or self._buffer or self._inflating)

    def feed(self, data: bytes) -> Iterator[Batch]:
        """Take bytes and yield the batches that they complete, which are to be used up before the next call.

        Raises:
            ProtocolError: as soon as what came can't be right.

        """
        self._buffer += data
        while True:
            if self._inflating:
                is_over = yield from self._inflate(self._inflating)
            else:
                is_over = yield from self._frame(self._buffer, nested=False)
            if is_over:
                return

    def _inflate(self, frame: _Inflating) -> Generator[Batch, None, bool]:
        """Inflate one step and take its frames; return whether more bytes are needed."""
        chunk = frame.zlib.unconsumed_tail
        if not chunk and not frame.has_more:
            chunk = bytes(self._buffer[: min(frame.left_bytes, _STEP_BYTES)])
            if not chunk and frame.left_bytes:
                return True
            del self._buffer[: len(chunk)]
            frame.left_bytes -= len(chunk)
        try:
            plain = frame.zlib.decompress(chunk, _STEP_BYTES)
        except zlib.error as error:
            raise ProtocolError("bad-compression", f"a compressed frame is no zlib: {error}") from error
        frame.has_more = len(plain) == _STEP_BYTES
        frame.total_bytes += len(plain)
        if frame.total_bytes > self._limits.inflated_bytes:
            raise ProtocolError(
                "too-large", f"a compressed frame inflates to more than {self._limits.inflated_bytes} bytes"
            )
        frame.plain += plain
        while not (yield from self._frame(frame.plain, nested=True)):
            pass
        if not (frame.left_bytes or frame.has_more or frame.zlib.unconsumed_tail):
            if not frame.zlib.eof or frame.zlib.unused_data or frame.plain:
                raise ProtocolError("bad-compression", "a compressed frame does not end where its content does")
            self._inflating = None
        return False

    def _frame(self, buffer: bytearray, *, nested: bool) -> Generator[Batch, None, bool]:
        """Take the frame at the buffer's beginning; return whether more bytes are needed."""
        if len(buffer) < 2:  # noqa: PLR2004  version and type
            # A wrong version is told by its first byte: HTTP and TLS by mistake.
            self._check_version(buffer)
            return True
        self._check_version(buffer)
        match buffer[1]:
            case _Kind.WINDOW if not nested:
                return (yield from self._window(buffer))
            case _Kind.JSON:
                return (yield from self._json(buffer))
            case _Kind.DATA:
                return (yield from self._data(buffer))
            case _Kind.COMPRESSED if not nested:
                return self._compressed(buffer)
            case kind:
                where = " within a compressed one" if nested else ""
                raise ProtocolError("bad-frame", f"a frame of type {bytes([kind])!r}{where}; known are W, J, D and C")

    def _check_version(self, buffer: bytearray) -> None:
        if buffer and buffer[0] not in VERSIONS:
            raise ProtocolError(
                "bad-version",
                f"frames of version {bytes(buffer[:1])!r}; this port speaks Lumberjack (Beats), versions 1 and 2. "
                "Is the sender an HTTP client, or does one of the two use TLS and the other not?",
            )

    def _window(self, buffer: bytearray) -> Generator[Batch, None, bool]:
        if len(buffer) < 6:  # noqa: PLR2004  version, type, number
            return True
        (count,) = _SHORT.unpack_from(buffer, 2)
        if count > self._limits.window_events:
            raise ProtocolError(
                "too-large", f"a window of {count} events; at most {self._limits.window_events}: lower bulk_max_size"
            )
        if self._expected:
            # As Logstash does: what came of a window that is given up counts.
            self._expected = 0
            yield self._batch()
        self._version = buffer[0]
        self._expected = count
        self._sequence = 0
        del buffer[:6]
        if not count:
            yield self._batch()
        return False

    def _json(self, buffer: bytearray) -> Generator[Batch, None, bool]:
        if len(buffer) < 10:  # noqa: PLR2004  version, type, sequence, length
            return True
        sequence, length = _LONG.unpack_from(buffer, 2)
        self._check_length(length)
        if len(buffer) < 10 + length:
            return True
        event = bytes(buffer[10 : 10 + length])
        del buffer[: 10 + length]
        yield from self._event(event, sequence, length)
        return False

    def _data(self, buffer: bytearray) -> Generator[Batch, None, bool]:
        if len(buffer) < 10:  # noqa: PLR2004  version, type, sequence, pairs
            return True
        sequence, pairs = _LONG.unpack_from(buffer, 2)
        if not 0 < pairs <= _MAX_PAIRS:
            raise ProtocolError("bad-frame", f"an event of {pairs} names and values; there are 1 to {_MAX_PAIRS}")
        position, texts = 10, []
        for _ in range(2 * pairs):
            if len(buffer) < position + 4:
                return True
            (length,) = _SHORT.unpack_from(buffer, position)
            self._check_length(position + length)
            if len(buffer) < position + 4 + length:
                return True
            texts.append(buffer[position + 4 : position + 4 + length].decode(errors="replace"))
            position += 4 + length
        del buffer[:position]
        yield from self._event(dict(zip(texts[::2], texts[1::2], strict=True)), sequence, position)
        return False

    def _compressed(self, buffer: bytearray) -> bool:
        if len(buffer) < 6:  # noqa: PLR2004  version, type, length
            return True
        (length,) = _SHORT.unpack_from(buffer, 2)
        if length > self._limits.compressed_bytes:
            raise ProtocolError(
                "too-large", f"a compressed frame of {length} bytes; at most {self._limits.compressed_bytes}"
            )
        del buffer[:6]
        self._inflating = _Inflating(length)
        return False

    def _check_length(self, length: int) -> None:
        if length > self._limits.event_bytes:
            raise ProtocolError(
                "too-large",
                f"an event of {length} bytes; at most {self._limits.event_bytes}: set the sender's max_bytes",
            )

    def _event(self, event: Event, sequence: int, size_bytes: int) -> Iterator[Batch]:
        if not self._expected:
            raise ProtocolError("bad-frame", "an event beyond its window")
        self._expected -= 1
        self._events.append(event)
        self._size_bytes += size_bytes
        self._sequence = sequence
        limits = self._limits
        if not self._expected or len(self._events) >= limits.batch_events or self._size_bytes >= limits.batch_bytes:
            yield self._batch()

    def _batch(self) -> Batch:
        batch = Batch(self._version, self._sequence, self._events, ends_window=not self._expected)
        self._events, self._size_bytes = [], 0
        return batch


def acknowledgement(version: int, sequence: int) -> bytes:
    """Return the frame that acknowledges a window up to an event; 0 says that this end is still at work."""
    return bytes((version, ord("A"))) + _SHORT.pack(sequence)
