"""What a worker does before partitions that are new to it are worked on: it reads their changelogs into local copies.

One consumer reads all of them at once, and what a fetch brings goes into a copy in one write. How far this has come is
logged each second, for all partitions of a step together, and shown as metrics for each. Forbidden here: Faust.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from abdrift import kafka
from streams.commit import Owner, Seen, StateError
from streams.shared import State
from streams.telemetry import Metrics, event

_FETCH_BYTES: Final = 16 * 1024 * 1024
_PARTITION_FETCH_BYTES: Final = 4 * 1024 * 1024
_POLL_MS: Final = 500
_TOLD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far reading has come, of one partition or of several. What compaction took away counts as read."""

    records: int
    wanted: int
    size_bytes: int = 0

    @property
    def percent(self) -> int:
        """The share that is read, in whole percent, rounded down."""
        return 100 * self.records // self.wanted if self.wanted else 100

    def seconds_left(self, elapsed_seconds: float) -> float | None:
        """Return how long the rest takes at the pace so far; None before anything is read."""
        return elapsed_seconds * (self.wanted - self.records) / self.records if self.records else None


def spans_to_read(starts: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, range]:
    """Return the offsets that local copies lack, by partition, where they lack any.

    Args:
        starts: By partition: the offset up to which its copy holds everything.
        ends: By partition: where its changelog ends.

    Raises:
        StateError: a copy holds more than its changelog, so it is another one's.

    """
    for partition, start in starts.items():
        if start > ends[partition]:
            raise StateError(
                f"the local copy of partition {partition} goes up to offset {start}, its changelog to "
                f"{ends[partition]}: it is of another Kafka, or the topic was made anew. Delete the local copy."
            )
    return {partition: range(start, ends[partition]) for partition, start in starts.items() if start < ends[partition]}


class Progress:
    """How far each partition is read.

    Args:
        spans: By partition: the offsets that are to be read.

    """

    def __init__(self, spans: Mapping[int, range]) -> None:
        self._spans = dict(spans)
        self._next = {partition: span.start for partition, span in spans.items()}
        self._size_bytes = dict.fromkeys(spans, 0)

    def advance(self, partition: int, next_offset: int, size_bytes: int = 0) -> None:
        """Note that a partition is read up to an offset, which itself is not."""
        self._next[partition] = max(self._next[partition], next_offset)
        self._size_bytes[partition] += size_bytes

    def left(self) -> list[int]:
        """Return the partitions that are not read to their ends."""
        return [partition for partition, span in self._spans.items() if self._next[partition] < span.stop]

    def each(self) -> Iterator[tuple[int, Standing]]:
        """Yield the partitions and how far they are."""
        for partition, span in self._spans.items():
            read = min(self._next[partition], span.stop) - span.start
            yield partition, Standing(read, len(span), self._size_bytes[partition])

    def total(self) -> Standing:
        """Return how far all of them together are."""
        standings = [standing for _, standing in self.each()]
        return Standing(
            sum(one.records for one in standings),
            sum(one.wanted for one in standings),
            sum(one.size_bytes for one in standings),
        )


class Restorer:
    """Brings the local copies of a step's changelog partitions up to date."""

    def __init__(self, step: str, state: State, settings: kafka.KafkaSettings, metrics: Metrics) -> None:
        self._step = step
        self._state = state
        self._settings = settings
        self._metrics = metrics

    async def run(self, partitions: Collection[int], is_overtaken: Callable[[], bool]) -> None:
        """Read what their copies lack, up to where the changelogs end now.

        Args:
            partitions: Which.
            is_overtaken: Whether they may have got other owners meanwhile: then it returns early.

        Raises:
            StateError: a copy holds more than its changelog.
            kafka.KafkaUnreachableError: no broker lets this client in.
            Exception: a changelog or a copy cannot be read or written.

        """
        tps = [TopicPartition(self._state.changelog, partition) for partition in sorted(partitions)]
        limits = {"fetch_max_bytes": _FETCH_BYTES, "max_partition_fetch_bytes": _PARTITION_FETCH_BYTES}
        async with kafka.consumer(self._settings, **limits) as consumer:
            starts = {tp.partition: self._state.next_offset(tp.partition) for tp in tps}
            ends = {tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()}
            spans = spans_to_read(starts, ends)
            if not spans:
                return
            progress = Progress(spans)
            consumer.assign([tp for tp in tps if tp.partition in spans])
            for tp in consumer.assignment():
                consumer.seek(tp, spans[tp.partition].start)
            async with self._told(progress):
                with self._state.bulk(spans):
                    while progress.left() and not is_overtaken():
                        await self._read(consumer, progress)

    async def _read(self, consumer: AIOKafkaConsumer, progress: Progress) -> None:
        """Take in one fetch."""
        tps = [TopicPartition(self._state.changelog, partition) for partition in progress.left()]
        for tp, records in (await consumer.getmany(*tps, timeout_ms=_POLL_MS)).items():
            self._state.apply(
                tp.partition, [Seen(one.offset, one.key, one.value, Owner.of(one.headers)) for one in records]
            )
            size_bytes = sum(len(one.key) + len(one.value or b"") for one in records)
            progress.advance(tp.partition, records[-1].offset + 1, size_bytes)
            # The lanes of other steps live in the same loop.
            await asyncio.sleep(0)
        for tp in tps:
            # Compaction may have taken the last ones.
            progress.advance(tp.partition, await consumer.position(tp))

    @contextlib.asynccontextmanager
    async def _told(self, progress: Progress) -> AsyncIterator[None]:
        """Tell how far it is: at the beginning, each second, and at the end, however that comes."""
        begun = time.monotonic()

        async def tell() -> None:
            while True:
                self._tell("restoring", progress, time.monotonic() - begun)
                await asyncio.sleep(_TOLD_SECONDS)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            name = "restore-broken-off" if progress.left() else "restored"
            self._tell(name, progress, time.monotonic() - begun)

    def _tell(self, name: str, progress: Progress, elapsed_seconds: float) -> None:
        for partition, standing in progress.each():
            self._show(partition, standing, elapsed_seconds)
        total = progress.total()
        left_seconds = total.seconds_left(elapsed_seconds)
        event(
            logging.INFO,
            name,
            step=self._step,
            partitions_left=len(progress.left()),
            records=total.records,
            of=total.wanted,
            bytes=total.size_bytes,
            percent=total.percent,
            seconds=f"{elapsed_seconds:.1f}",
            seconds_left="?" if left_seconds is None else round(left_seconds),
        )

    def _show(self, partition: int, standing: Standing, elapsed_seconds: float) -> None:
        gauges, labels = self._metrics.restore, (self._step, str(partition))
        gauges.records.labels(*labels).set(standing.records)
        gauges.wanted.labels(*labels).set(standing.wanted)
        gauges.size_bytes.labels(*labels).set(standing.size_bytes)
        gauges.percent.labels(*labels).set(standing.percent)
        left_seconds = standing.seconds_left(elapsed_seconds)
        gauges.seconds_left.labels(*labels).set(math.nan if left_seconds is None else left_seconds)
