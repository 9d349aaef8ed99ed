"""What a lane has been given and not yet worked off: in order, without holes, bounded in bytes.

What Kafka has and Faust does not deliver is asked for again here: what is fetched around a rebalance, or a seek, gets
lost.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.decode import Record
from streams.shared import Shared
from streams.telemetry import event

_BACKLOG_MS: Final = 1_000
_BACKLOG_SHARE: Final = 2
_BACKLOG_POLL_SECONDS: Final = 0.005
_TURN_SECONDS: Final = 1.0
"""About how long a lane may keep others, and the sending of what they wrote, waiting while its step works."""
_GROWTH: Final = 16
_FIRST_ROWS: Final = 10_000
"""What a lane takes before it knows how fast its step is: one frame, at the most."""
STUCK_SECONDS: Final = 5.0
_STUCK_TRIES: Final = 20


@dataclass(frozen=True, slots=True)
class Pending:
    """A fetched record and how to acknowledge it."""

    record: Record
    ack: Callable[[], Any]


@dataclass(slots=True)
class Pace:
    """How many rows a lane takes at a time so that its step works for a turn or less. Learned from its batches."""

    rows: float = _FIRST_ROWS

    def learn(self, rows: int, seconds: float) -> None:
        """Take a batch into account. After a quick one that was as large as it might be, the next may be larger."""
        if seconds > _TURN_SECONDS:
            self.rows = max(1.0, rows * _TURN_SECONDS / seconds)
        elif rows >= self.rows and seconds < _TURN_SECONDS / 2:
            # A first batch says little of a large one, and fast steps should not have to wait for large ones.
            self.rows = min(_GROWTH * self.rows, rows * _TURN_SECONDS / (2 * max(seconds, 1e-6)))


@dataclass(slots=True)
class _Stuck:
    """A record that Kafka has and that does not come: its offset, since when it is waited for, how often asked for."""

    due: int
    since: float
    asked: int = 0


class Inbox:
    """One partition's records on their way to its lane.

    Args:
        partition: Which one.
        shared: What the step's lanes share.
        due: By input topic: the first offset there is.

    """

    def __init__(self, partition: int, shared: Shared, due: Mapping[str, int]) -> None:
        self.due = dict(due)
        """By input topic: the offset of the next record to take in."""
        self.pace = Pace()
        self._partition = partition
        self._shared = shared
        self._queue: deque[Pending] = deque()
        self._queued_bytes = 0
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._stuck: dict[str, _Stuck] = {}
        self._entered: set[str] = set()
        self._wake = asyncio.Event()
        self._closing = False
        self._contiguous = {topic.name for topic in shared.running.reads if not topic.compacted}

    @property
    def waiting(self) -> tuple[Pending, ...]:
        """What is taken in and not yet taken out."""
        return tuple(self._queue)

    def offer(self, pending: Pending) -> bool:
        """Take a fetched record in, unless the state or the buffer has it already; return whether it was taken."""
        record = pending.record
        due = self.due.get(record.topic)
        if due is not None and record.offset < due:
            self._shared.skip("already-absorbed")
            pending.ack()
            return False
        if due is not None and record.offset > due and self._is_doubted(record, due):
            return False
        self._entered.add(record.topic)
        self.due[record.topic] = record.offset + 1
        self._queue.append(pending)
        self._queued_bytes += record.size_bytes
        self._shared.metrics.buffered_bytes.labels(self._shared.step).inc(record.size_bytes)
        if self._queued_bytes > self._shared.buffer_bytes:
            self._shared.link.pause(record.topic, self._partition)
        self._wake.set()
        return True

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for records, at most so long; return whether there are any."""
        if not self._queue:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout_seconds)
            if self._queue and self._shared.settings.linger_ms:
                await asyncio.sleep(self._shared.settings.linger_ms / 1000)
        await self._gather_backlog()
        return bool(self._queue) and not self._closing

    def take(self) -> list[Pending]:
        """Return what is buffered, as far as one batch may hold."""
        settings = self._shared.settings
        taken: list[Pending] = []
        limits = self._shared.limits
        size_bytes = rows = 0
        while self._queue and len(taken) < settings.batch_records:
            if size_bytes >= limits.size_bytes or rows >= min(limits.rows, self.pace.rows):
                break
            pending = self._queue.popleft()
            taken.append(pending)
            size_bytes += pending.record.size_bytes
            rows += pending.record.rows_promised or 1
        self._queued_bytes -= size_bytes
        self._shared.metrics.buffered_bytes.labels(self._shared.step).dec(size_bytes)
        if self._queued_bytes <= self._shared.buffer_bytes // 2:
            for topic in self.due:
                self._shared.link.resume(topic, self._partition)
        return taken

    def ask_again_if_stuck(self) -> None:
        """Ask again for what Kafka has and nobody delivers: what is fetched around a rebalance can get lost.

        The last record of a compacted topic may truly be gone, hence a few times only.
        """
        now = time.monotonic()
        for topic, due in self.due.items():
            stuck = self._stuck.get(topic)
            if self._shared.link.end(topic, self._partition) <= due:
                self._stuck.pop(topic, None)
            elif stuck is None or stuck.due != due:
                self._stuck[topic] = _Stuck(due, now)
            elif now >= stuck.since + STUCK_SECONDS and stuck.asked < _STUCK_TRIES:
                self._stuck[topic] = _Stuck(due, now, stuck.asked + 1)
                self._shared.link.seek(topic, self._partition, due)
                self._shared.skip("asked-again")
                event(
                    logging.WARNING,
                    "asked-again",
                    step=self._shared.step,
                    topic=topic,
                    partition=self._partition,
                    offset=due,
                )

    def close(self) -> None:
        """Have whoever waits go on."""
        self._closing = True
        self._wake.set()

    def drop(self) -> None:
        """Let go of what is left: it is given to whoever comes next."""
        for task in self._asking.values():
            task.cancel()
        self._shared.metrics.buffered_bytes.labels(self._shared.step).dec(self._queued_bytes)

    async def _gather_backlog(self) -> None:
        """Wait for more of a backlog, though not for long: what is worth doing at once is done at once."""
        shared = self._shared
        enough_bytes = shared.limits.size_bytes // _BACKLOG_SHARE
        end = time.monotonic() + shared.settings.backlog_linger_ms / 1000
        while (  # noqa: ASYNC110  it waits for bytes rather than for an event
            self._queue
            and self._queued_bytes < enough_bytes
            and not self._closing
            and shared.around.clock_ms() - self._queue[0].record.append_ms > _BACKLOG_MS
            and time.monotonic() < end
        ):
            await asyncio.sleep(_BACKLOG_POLL_SECONDS)

    def _is_doubted(self, record: Record, due: int) -> bool:
        """Whether a record that leaves some out came too early: what is between may be lost on the way.

        What is fetched around a rebalance, or a seek, gets lost, so only Kafka can tell what is truly gone (expired).
        Of a compacted topic, where holes are the rule, that goes for the first record.
        """
        topic = record.topic
        if topic not in self._contiguous and topic in self._entered:
            return False
        if topic not in self._asking:
            self._asking[topic] = asyncio.create_task(self._ask_for(topic, due))
        return True

    async def _ask_for(self, topic: str, due: int) -> None:
        """Find out which record is the next, and have it delivered."""
        try:
            found = await self._shared.link.next_offset(topic, self._partition, due)
        except Exception as error:  # noqa: BLE001  whatever the client raises: the next record, or silence, asks again
            event(logging.WARNING, "not-answered", step=self._shared.step, topic=topic, reason=repr(error))
            return
        finally:
            self._asking.pop(topic, None)
        if self.due.get(topic) != due or self._closing:
            return
        if found > due and topic in self._contiguous:
            self._shared.skip("missing", found - due)
            event(
                logging.WARNING,
                "records-missing",
                step=self._shared.step,
                topic=topic,
                partition=self._partition,
                first=due,
                next=found,
            )
        self.due[topic] = found
        self._shared.link.seek(topic, self._partition, found)
