"""What a lane works with: Kafka and its state as protocols, and what all lanes of a step have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from abdrift.topics import Topic
from streams.commit import Fence, OutboxFact, Seen
from streams.settings import EngineSettings, Surroundings
from streams.step import AnyStep, Limits, Outgoing
from streams.telemetry import Metrics

Headers = Sequence[tuple[str, bytes]]


class Link(Protocol):
    """What a lane needs of Kafka."""

    async def send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> Awaitable[int]:
        """Hand a record over; the result gives its offset once it is acknowledged by all replicas, or raises."""
        ...

    async def read_changelog(self, partition: int, start: int, stop: int) -> list[Seen]:
        """Return the changelog's records from offset `start` up to, not including, `stop`."""
        ...

    def pause(self, topic: str, partition: int) -> None:
        """Fetch no more of an input for now. Safe to repeat."""
        ...

    def resume(self, topic: str, partition: int) -> None:
        """Fetch an input again. Safe to repeat."""
        ...

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Deliver an input again from an offset on."""
        ...

    async def next_offset(self, topic: str, partition: int, start: int) -> int:
        """Return the offset of the first record from `start` on that Kafka still has."""
        ...

    def end(self, topic: str, partition: int) -> int:
        """Return where an input ended when it was last fetched; 0 where that is not known."""
        ...


class State(Protocol):
    """The local copy of a step's changelog."""

    changelog: str
    """The changelog topic's name."""

    def items(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        """Return a partition's keys and values."""
        ...

    def fence(self, partition: int) -> Fence:
        """Return who owns a partition, as far as it was read."""
        ...

    def next_offset(self, partition: int) -> int:
        """Return the changelog offset up to which the copy holds everything."""
        ...

    def apply(self, partition: int, seen: Sequence[Seen]) -> None:
        """Take in changelog records, in order, each as the fence judges it."""
        ...

    def bulk(self, partitions: Collection[int]) -> AbstractContextManager[None]:
        """While inside, take in much of these partitions faster, and be safe against a crash only at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What all lanes of a step share."""

    running: AnyStep
    encode: Callable[[Outgoing], OutboxFact]
    counts: Mapping[str, int]
    """Each topic's number of partitions."""
    settings: EngineSettings
    around: Surroundings
    metrics: Metrics
    link: Link
    state: State
    worker: str
    lanes: Callable[[], int]
    """How many lanes of the step this worker has."""
    partitions: int
    tick_topic: Topic | None
    turn: asyncio.Lock
    """Held by the one lane of the process whose step works."""

    @property
    def step(self) -> str:
        """The step's name."""
        return self.running.name

    @property
    def limits(self) -> Limits:
        """How much one batch may hold."""
        limits: Limits | None = getattr(self.running, "limits", None)
        return limits or Limits(self.settings.batch_rows, self.settings.batch_bytes)

    @property
    def buffer_bytes(self) -> int:
        """How much may wait in one lane; more is not fetched."""
        share = self.settings.step_buffer_bytes // max(1, self.lanes())
        return min(self.settings.lane_buffer_bytes, self.limits.size_bytes, share)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count records that were passed over."""
        self.metrics.skipped.labels(self.step, reason).inc(count)
