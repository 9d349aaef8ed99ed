"""A queue of frames in files: appended at one end, read and dropped at the other, each record durable once appended.

A record is its length, its checksum and the frame. A process that is killed while it appends leaves a torn record at
the end, which the next start cuts off: nobody was told that it was kept. A record damaged later ends its file for the
reader, since nothing tells where the next one begins; what is passed over is counted.
"""

import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

_HEAD: Final = struct.Struct("<II")
_SUFFIX: Final = ".frames"
_POSITION: Final = "position"


class SpooledFrame(msgspec.Struct, frozen=True, array_like=True):
    """A frame as it is to be sent: a Kafka record's topic, partition, key, value and headers."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    kept_ms: int = 0
    """When it was kept on disk."""

    @property
    def rows(self) -> int:
        """How many rows it holds, as its header says; 1 where that is unreadable."""
        told = dict(self.headers).get("abdrift-rows", b"")
        return int(told) if told.isdigit() else 1


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the queue: the number of a file, and bytes from its beginning."""

    segment: int
    offset: int


class Segments:
    """One such queue in a folder of its own. Not for several threads or processes at once."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        """Open what an earlier run left, or begin anew.

        Raises:
            OSError: the folder can't be read or written.

        """
        self.damaged_bytes = 0
        """Bytes of records that could not be read, since the start."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._sizes = {int(path.stem): path.stat().st_size for path in folder.glob(f"*{_SUFFIX}")}
        self._start = self._stored_position()
        self._remove_before(self._start.segment)
        self._last = max(self._sizes, default=self._start.segment)
        if self._last in self._sizes:
            self._cut_torn_tail()

    def __len__(self) -> int:
        """Return the bytes that wait."""
        return sum(self._sizes.values()) - min(self._start.offset, self._sizes.get(self._start.segment, 0))

    def append(self, frame: SpooledFrame) -> None:
        """Keep a frame, durably.

        Raises:
            OSError: it could not be written whole, and nothing of it is kept.

        """
        body = msgspec.msgpack.encode(frame)
        if self._sizes.get(self._last, 0) >= self._segment_bytes:
            self._last += 1
        size_bytes = self._sizes.get(self._last, 0)
        path = self._path(self._last)
        record = _HEAD.pack(len(body), zlib.crc32(body)) + body
        # Unbuffered: what a full disk refused must not be written by closing the file.
        with path.open("ab", buffering=0) as file:
            try:
                written = file.write(record)
                os.fsync(file.fileno())
            except OSError:
                _cut(path, size_bytes)
                raise
        if written != len(record):
            _cut(path, size_bytes)
            raise OSError(errno.ENOSPC, f"{written} of {len(record)} bytes were written", str(path))
        self._sizes[self._last] = size_bytes + len(record)

    def read(self, frames: int) -> list[tuple[Position, SpooledFrame]]:
        """Return up to so many of the oldest frames, each with the position after it. They stay until `advance`."""
        while len(self):
            segment = min(self._sizes)
            offset = self._start.offset if segment == self._start.segment else 0
            found = [(Position(segment, end), each) for end, each in islice(self._records(segment, offset), frames)]
            if found:
                return found
            self.damaged_bytes += self._sizes[segment] - offset
            self._pass_over(segment)
        return []

    def advance(self, to: Position) -> None:
        """Forget what comes before a position, durably. A file that was read to its end goes once another is begun.

        Raises:
            OSError: the position could not be written; what comes before it may come again after a restart.

        """
        if to.segment < self._last and to.offset >= self._sizes.get(to.segment, 0):
            to = Position(to.segment + 1, 0)
        self._start = to
        draft = self._folder / f"{_POSITION}.draft"
        with draft.open("w") as file:
            file.write(f"{to.segment} {to.offset}")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / _POSITION)
        self._remove_before(to.segment)

    def drop_oldest(self) -> int:
        """Drop the oldest file of the queue and return how many rows were lost with it."""
        segment = min(self._sizes)
        offset = self._start.offset if segment == self._start.segment else 0
        rows = sum(frame.rows for _, frame in self._records(segment, offset))
        self._pass_over(segment)
        return rows

    def _pass_over(self, segment: int) -> None:
        """Go on with the file after one, which is written to no more."""
        self._last = max(self._last, segment + 1)
        self.advance(Position(segment + 1, 0))

    def _records(self, segment: int, offset: int) -> Iterator[tuple[int, SpooledFrame]]:
        """Yield a file's frames from an offset on, each with the offset after it, up to the first that is damaged."""
        with self._path(segment).open("rb") as file:
            file.seek(offset)
            while head := file.read(_HEAD.size):
                length, checksum = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
                body = file.read(length) if length <= self._sizes[segment] else b""
                if not body or len(body) < length or zlib.crc32(body) != checksum:
                    return
                offset += _HEAD.size + length
                yield offset, msgspec.msgpack.decode(body, type=SpooledFrame)

    def _cut_torn_tail(self) -> None:
        whole = 0
        for end, _ in self._records(self._last, 0):
            whole = end
        if whole < self._sizes[self._last]:
            os.truncate(self._path(self._last), whole)
            self._sizes[self._last] = whole

    def _stored_position(self) -> Position:
        """Return where reading goes on; what a damaged position may have meant comes again."""
        oldest = Position(min(self._sizes, default=0), 0)
        try:
            segment, offset = map(int, (self._folder / _POSITION).read_text().split())
        except (FileNotFoundError, ValueError):
            return oldest
        is_next = segment == max(self._sizes, default=segment - 1) + 1 and offset == 0
        if is_next or 0 <= offset <= self._sizes.get(segment, -1):
            return Position(segment, offset)
        return oldest

    def _remove_before(self, segment: int) -> None:
        for old in [number for number in self._sizes if number < segment]:
            self._path(old).unlink(missing_ok=True)
            del self._sizes[old]

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:012d}{_SUFFIX}"


def _cut(path: Path, size_bytes: int) -> None:
    """Take back what was written beyond; where that fails too, the next start cuts it off."""
    with contextlib.suppress(OSError):
        os.truncate(path, size_bytes)
