"""Rows into frames: batching, lanes and delivery, the same for every collector.

A `Framer` belongs to one source. Its rows queue by lane (one signal to one partition); a lane closes a frame by rows,
bytes or age, or soon after an urgent row, and sends one frame at a time until Kafka acknowledges it. So order within a
lane holds, a storm fills frames while the one before is under way, and what cannot be sent holds the source back
instead of being dropped.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Protocol, Self

from abdrift import topics
from abdrift.partitions import partition_of
from abdrift.signals import alerts, events, logs, objects, samples
from abdrift.signals.schema import Signal
from abdrift.topics import Topic
from collectors import telemetry
from collectors.lanes import (
    WITHDRAWN,
    Block,
    Encode,
    FramerSettings,
    Lane,
    LaneTarget,
    Receipt,
    Row,
    Send,
    Spooled,
    UnsendableError,
    Waiting,
)

__all__ = ["Framer", "FramerSettings", "NotDeliveredError", "Outlet", "Row", "Send", "Spooled", "UnsendableError"]

_ROW_OVERHEAD_BYTES = 400
"""About what a row takes besides its text: the struct, its strings' headers and its place in a queue."""


class NotDeliveredError(Exception):
    """Rows that Kafka did not take. `refused` tells how many, by reason; it may have taken the others."""

    def __init__(self, source: str, refused: Counter[str]) -> None:
        reasons = ", ".join(f"{rows} {reason}" for reason, rows in sorted(refused.items()))
        super().__init__(f"{source}: rows not delivered: {reasons}")
        self.refused = refused


@dataclass(frozen=True, slots=True)
class _Kind:
    """What becomes of rows of one type: their signal and topic, and what is counted of them."""

    signal: Signal
    topic: Topic
    columns_of: Callable[[Sequence[Any]], dict[str, list[Any]]]
    op: Callable[[Any], str]
    text: Callable[[Any], int]
    """About how many bytes of text a row has."""


_KINDS: dict[type[Row], _Kind] = {
    objects.ObjectRow: _Kind(
        objects.OBJECTS,
        topics.OBJECTS,
        objects.columns_of,
        lambda row: row.op,
        lambda row: len(row.object + row.detail),
    ),
    events.EventRow: _Kind(
        events.EVENTS, topics.EVENTS, events.columns_of, lambda row: row.type, lambda row: len(row.message)
    ),
    samples.SampleRow: _Kind(
        samples.SAMPLES, topics.SAMPLES, samples.columns_of, lambda _: "sample", lambda row: len(row.labels)
    ),
    logs.LogRow: _Kind(
        logs.LOGS, topics.LOGS, logs.columns_of, lambda row: row.severity, lambda row: len(row.message + row.fields)
    ),
    alerts.AlertRow: _Kind(
        alerts.ALERTS,
        topics.ALERTS,
        alerts.columns_of,
        lambda row: row.status,
        lambda row: len(row.labels + row.message),
    ),
}


@cache
def _kind_of(row: type[Row]) -> _Kind:
    if issubclass(row, Block):
        return _Kind(
            samples.SAMPLES, topics.SAMPLES, row.columns_of, lambda _: "sample", lambda block: block.size_bytes
        )
    return _KINDS[row]


def _arrows_own() -> Encode:
    from abdrift.frames import encode  # noqa: PLC0415  who brings an encoder of their own need not load Arrow's library

    return encode


class Outlet(Protocol):
    """Where a collector's rows go. `Framer` is one; `Recording` in tests another."""

    @property
    def dropped(self) -> Counter[str]:
        """Rows lost since the start, by reason."""

    @property
    def spooled(self) -> Spooled:
        """What waits on disk before rows that are put now."""

    async def put(self, row: Row, *, urgent: bool = False) -> None:
        """Take a row; waits while the buffer is full."""


class Framer:
    """One source's rows on their way to Kafka. Use as an async context manager, or `start` and `stop`."""

    def __init__(
        self,
        source: str,
        epoch: int,
        send: Send,
        settings: FramerSettings | None = None,
        *,
        encode: Encode | None = None,
        rng: random.Random | None = None,
        spooled: Callable[[], Spooled] = Spooled,
    ) -> None:
        """`source` names the lanes, e.g. `kubernetes/edge-0042`; `epoch` comes from `collectors.epochs`.

        `encode` is `abdrift.frames.encode` by default; `abdrift.arrow.frames.encode` takes rows but no blocks, is
        slower with many, and saves the memory of Arrow's library. `spooled` tells what `send` keeps on disk.
        """
        self.source = source
        self.epoch = epoch
        self.dropped: Counter[str] = Counter()
        self._encode = encode or _arrows_own()
        self._send = send
        self._settings = settings or FramerSettings()
        self._rng = rng or random.Random()  # noqa: S311  jitter
        self._spooled = spooled
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held_rows = 0
        self._held_bytes = 0
        self._room = asyncio.Event()
        self._stopped = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def spooled(self) -> Spooled:
        """What waits on disk before rows that are put now."""
        return self._spooled()

    async def put(self, row: Row, *, urgent: bool = False) -> None:
        """Queue a row for its cluster's partition; waits while the buffer is full.

        Raises:
            RuntimeError: the framer was stopped, or a lane of it failed.

        """
        await self._put(row, self._partition_of(row), urgent=urgent)

    async def deliver(self, rows: Sequence[Row], *, urgent: bool = True) -> None:
        """Queue rows for their clusters' partitions, and return once Kafka has acknowledged all of them.

        Where a caller gives up waiting, what is not under way yet is not sent: it will come again.

        Raises:
            NotDeliveredError: Kafka will never take some of them, or the framer was stopped before it did.
            RuntimeError: the framer was stopped, or a lane of it failed.

        """
        receipt = Receipt()
        try:
            for row in rows:
                await self._put(row, self._partition_of(row), urgent=urgent, receipt=receipt)
            await receipt.wait()
        except asyncio.CancelledError:
            for lane in self._lanes.values():
                lane.withdraw(receipt)
            raise
        if receipt.refused:
            raise NotDeliveredError(self.source, receipt.refused)

    async def broadcast(self, row: Row, *, urgent: bool = False) -> None:
        """Queue a row for every partition, as what belongs to no single cluster is. Waits and raises as `put`."""
        for partition in range(self._settings.partitions):
            await self._put(row, partition, urgent=urgent)

    async def flush(self) -> None:
        """Send everything that was put before, and return once Kafka has acknowledged it."""
        await asyncio.gather(*(lane.flush() for lane in self._lanes.values()))

    async def stop(self, timeout_seconds: float = 5) -> None:
        """Flush for at most `timeout_seconds`, then end. What is left is counted as dropped for `stopped`."""
        if self._stopped:
            return
        self._stopped = True
        self._room.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self.flush()
        except TimeoutError:
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for lane in self._lanes.values():
                lane.abandon()

    def _partition_of(self, row: Row) -> int:
        return partition_of(row.cluster, self._settings.partitions)

    async def _put(self, row: Row, partition: int, *, urgent: bool, receipt: Receipt | None = None) -> None:
        kind = _kind_of(type(row))
        rows = row.rows if isinstance(row, Block) else 1
        size_bytes = _ROW_OVERHEAD_BYTES + kind.text(row)
        await self._until_room(size_bytes)
        self._held_rows += rows
        self._held_bytes += size_bytes
        if receipt:
            receipt.outstanding += rows
        telemetry.ROWS.labels(self.source, kind.signal.name, kind.op(row)).inc(rows)
        self._lane(kind, partition).add(Waiting(row, size_bytes, receipt, rows), urgent=urgent)

    async def _until_room(self, size_bytes: int) -> None:
        """Wait for room; a row larger than the whole buffer passes when the buffer is empty."""
        while (
            not self._stopped
            and self._held_rows
            and (
                self._held_rows >= self._settings.buffer_rows
                or self._held_bytes + size_bytes > self._settings.buffer_bytes
            )
        ):
            self._room.clear()
            await self._room.wait()
        if self._stopped:
            raise RuntimeError(f"{self.source}: the framer was stopped")

    def _lane(self, kind: _Kind, partition: int) -> Lane:
        signal = kind.signal.name
        lane = self._lanes.get((signal, partition))
        assert lane is None or lane.target.columns_of is kind.columns_of, "a framer has rows of a signal, or blocks"
        if lane is None:
            lane = Lane(
                (self.source, self.epoch),
                LaneTarget(kind.signal, kind.topic.name, partition, kind.columns_of),
                self._settings,
                encode=self._encode,
                send=self._send,
                rng=self._rng,
                released=self._release,
            )
            self._lanes[signal, partition] = lane
            task = asyncio.create_task(lane.run(), name=f"{self.source} {signal}/{partition}")
            self._tasks.add(task)
            task.add_done_callback(self._lane_ended)
        return lane

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        """Refuse rows from now on if a lane failed, since nobody may go on as if they were sent."""
        if not task.cancelled() and task.exception():
            self._stopped = True
            self._room.set()
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"{self.source}: a lane failed", "exception": task.exception(), "task": task}
            )

    def _release(self, rows: Sequence[Waiting], dropped: str | None) -> None:
        count = sum(waiting.rows for waiting in rows)
        self._held_rows -= count
        self._held_bytes -= sum(waiting.size_bytes for waiting in rows)
        self._room.set()
        for waiting in rows:
            if waiting.receipt:
                waiting.receipt.settle(waiting.rows, dropped)
        if dropped == WITHDRAWN:
            telemetry.SUPPRESSED.labels(self.source, dropped).inc(count)
        elif dropped:
            self.dropped[dropped] += count
            telemetry.DROPPED.labels(self.source, dropped).inc(count)
