"""Frames by priority under one bound: what may be lost makes room for what may not."""

import enum
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from abdrift import topics
from collectors.spool.segments import Position, Segments, SpooledFrame


class Priority(enum.IntEnum):
    """What goes first, and what is given up first. Order is kept within one of them."""

    STATE = 0
    """Objects, alerts and words about the evidence: what findings rest on. Never given up; who brings more waits."""
    FIREHOSE = 1
    """Events, samples and logs: the oldest make room."""


_STATE = {topics.OBJECTS.name, topics.ALERTS.name}


def priority_of(topic: str) -> Priority:
    """Return how much a topic's frames matter."""
    return Priority.STATE if topic in _STATE else Priority.FIREHOSE


class SpoolSettings(BaseModel):
    """How much may wait on disk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=256 * 1024 * 1024, ge=1024)
    segment_bytes: int = Field(default=1024 * 1024, ge=1, description="About the size of a file.")


class SpoolFullError(Exception):
    """There is no room, and nothing that may be given up for it."""


class Spool:
    """A bounded queue on disk. Not for several threads or processes at once."""

    def __init__(self, folder: Path, settings: SpoolSettings | None = None) -> None:
        """Open what an earlier run left in a folder, or begin anew.

        Raises:
            OSError: the folder can't be read or written.

        """
        self.dropped: Counter[str] = Counter()
        """Rows given up, by reason."""
        self._settings = settings or SpoolSettings()
        segment_bytes = min(self._settings.segment_bytes, self._settings.max_bytes // 4)
        self._queues = {p: Segments(folder / p.name.lower(), segment_bytes) for p in Priority}

    @property
    def damaged_bytes(self) -> int:
        """Bytes on disk that could not be read and were passed over."""
        return sum(queue.damaged_bytes for queue in self._queues.values())

    def waiting_bytes(self, priority: Priority | None = None) -> int:
        """Return how many bytes wait, of one priority or of all."""
        return sum(len(queue) for each, queue in self._queues.items() if priority in (None, each))

    def append(self, frame: SpooledFrame) -> None:
        """Keep a frame, durably; where there is no room, at the cost of the oldest that matter least.

        Raises:
            SpoolFullError: it matters too much to be lost, and there is no room and nothing to give up for it; or the
                disk has no room.

        """
        priority = priority_of(frame.topic)
        size_bytes = len(frame.value)
        while self.waiting_bytes() + size_bytes > self._settings.max_bytes:
            if self._give_up_one("spool-full"):
                continue
            if priority is Priority.STATE:
                raise SpoolFullError(f"{self.waiting_bytes()} bytes wait; at most {self._settings.max_bytes}")
            self.dropped["spool-full"] += frame.rows
            return
        try:
            self._queues[priority].append(frame)
        except OSError as error:
            if self._give_up_one("disk-full"):
                raise SpoolFullError(f"{error}; older frames made room") from error
            if priority is Priority.STATE:
                raise SpoolFullError(str(error)) from error
            self.dropped["disk-full"] += frame.rows

    def read(
        self, frames: int, priorities: Collection[Priority] = tuple(Priority)
    ) -> Iterator[tuple[Priority, Position, SpooledFrame]]:
        """Yield up to so many of the oldest frames of the first of these priorities that has any."""
        for priority, queue in self._queues.items():
            if priority in priorities and (found := queue.read(frames)):
                yield from ((priority, position, frame) for position, frame in found)
                return

    def advance(self, priority: Priority, to: Position) -> None:
        """Forget what was read before a position."""
        self._queues[priority].advance(to)

    def _give_up_one(self, reason: str) -> bool:
        """Drop the oldest file that may be dropped; False where there is none."""
        queue = self._queues[Priority.FIREHOSE]
        if not len(queue):
            return False
        self.dropped[reason] += queue.drop_oldest()
        return True
