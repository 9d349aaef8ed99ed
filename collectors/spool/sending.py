"""A framer's way to Kafka that leads over the disk where Kafka can't be reached.

While nothing waits, a frame goes straight to Kafka. One that is not acknowledged within the patience is kept on disk,
and so is every later one of its priority until the disk has been sent, in order. A frame may be sent twice: its lane's
sequence tells, and readers pass the second over. A budget of bytes a day holds back what it no longer allows, likewise
on disk.
"""

import asyncio
import logging
import random
from collections import Counter
from itertools import groupby

from abdrift.clock import ClockMs, wall_clock_ms
from collectors import telemetry
from collectors.lanes import Headers, Send, Spooled, UnsendableError
from collectors.spool.budget import DailyBudget
from collectors.spool.queue import Priority, Spool, SpoolFullError, priority_of
from collectors.spool.segments import Position, SpooledFrame

log = logging.getLogger(__name__)

_BATCH_FRAMES = 64
_RETRY_SECONDS = (0.5, 15.0)


class SpoolingSend:
    """A `Send` over another one. `run` must be running for what waits on disk to be sent."""

    def __init__(
        self,
        source: str,
        send: Send,
        spool: Spool,
        *,
        budget: DailyBudget | None = None,
        patience_seconds: float = 5.0,
        clock: ClockMs = wall_clock_ms,
        rng: random.Random | None = None,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        """Rows lost here since the start, by reason."""
        self._source = source
        self._send = send
        self._spool = spool
        self._budget = budget
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311  jitter
        self._disk = asyncio.Lock()
        self._waits = asyncio.Event()
        self._room = asyncio.Event()
        self._oldest_ms: int | None = None
        self._tell()

    @property
    def waiting_bytes(self) -> int:
        """How much waits on disk."""
        return self._spool.waiting_bytes()

    def spooled(self) -> Spooled:
        """Return how much waits on disk, and for how long the first of it that is to be sent."""
        if not self.waiting_bytes or self._oldest_ms is None:
            return Spooled(self.waiting_bytes)
        return Spooled(self.waiting_bytes, self._clock() - self._oldest_ms)

    async def __call__(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:
        """Return once Kafka has the frame, or the disk.

        Raises:
            UnsendableError: Kafka will never take it.

        """
        frame = SpooledFrame(topic, partition, key, value, headers, self._clock())
        while True:
            priority = priority_of(topic)
            if not self._spool.waiting_bytes(priority) and self._allows(priority) and await self._sent(frame):
                return
            self._room.clear()
            if await self._kept(frame):
                return
            await self._some_room()

    async def run(self) -> None:
        """Send what waits on disk, in order, until cancelled."""
        delay_seconds, longest_seconds = _RETRY_SECONDS
        while True:
            self._waits.clear()
            batch = await self._read()
            if not batch:
                await self._more()
                continue
            if await self._forward(batch):
                delay_seconds = _RETRY_SECONDS[0]
            else:
                await asyncio.sleep(delay_seconds * self._rng.uniform(0.5, 1))
                delay_seconds = min(2 * delay_seconds, longest_seconds)

    async def _sent(self, frame: SpooledFrame) -> bool:
        """Send a frame straight to Kafka; False where that is not acknowledged in time."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._send(frame.topic, frame.partition, frame.key, frame.value, frame.headers)
        except UnsendableError:
            raise
        except Exception as error:  # noqa: BLE001  whatever the client raises: the disk keeps it, and it is tried again
            telemetry.SEND_ERRORS.labels(self._source, type(error).__name__).inc()
            log.warning("%s: Kafka can't be reached, frames are kept on disk: %r", self._source, error)
            return False
        self._spend(frame)
        return True

    async def _kept(self, frame: SpooledFrame) -> bool:
        """Keep a frame on disk; False where it may not be lost and there is no room."""
        try:
            async with self._disk:
                await asyncio.to_thread(self._spool.append, frame)
        except SpoolFullError as error:
            telemetry.SEND_ERRORS.labels(self._source, type(error).__name__).inc()
            log.warning("%s: waits for room on disk: %s", self._source, error)
            return False
        finally:
            self._tell()
        self._waits.set()
        return True

    async def _more(self) -> None:
        """Wait until more is on disk; where the day's budget is spent, a while, as a new day may have begun."""
        try:
            async with asyncio.timeout(_RETRY_SECONDS[1] if self.waiting_bytes else None):
                await self._waits.wait()
        except TimeoutError:
            return

    def _allows(self, priority: Priority) -> bool:
        return self._budget is None or self._budget.allows(priority)

    def _spend(self, frame: SpooledFrame) -> None:
        if self._budget:
            self._budget.spend(frame)
            telemetry.BUDGET_SPENT_BYTES.labels(self._source).set(self._budget.spent_bytes)

    async def _some_room(self) -> None:
        """Wait until something was sent, or a while: another program may have made room on the disk."""
        try:
            async with asyncio.timeout(_RETRY_SECONDS[1]):
                await self._room.wait()
        except TimeoutError:
            return

    async def _read(self) -> list[tuple[Priority, Position, SpooledFrame]]:
        async with self._disk:
            allowed = [priority for priority in Priority if self._allows(priority)]
            batch = await asyncio.to_thread(lambda: list(self._spool.read(_BATCH_FRAMES, allowed)))
            if batch or not self.waiting_bytes:
                self._oldest_ms = batch[0][2].kept_ms if batch else None
            self._tell()
            return batch

    async def _forward(self, batch: list[tuple[Priority, Position, SpooledFrame]]) -> bool:
        """Send a batch, each partition's frames in turn, and forget it. Return whether Kafka took it all."""
        in_lanes = sorted((frame for _, _, frame in batch), key=_partition)
        lanes = [list(frames) for _, frames in groupby(in_lanes, key=_partition)]
        sent = await asyncio.gather(*map(self._send_in_turn, lanes), return_exceptions=True)
        for error in sent:
            if isinstance(error, asyncio.CancelledError):
                raise error
            if isinstance(error, BaseException):
                telemetry.SEND_ERRORS.labels(self._source, type(error).__name__).inc()
                log.warning("%s: %d bytes wait on disk: %r", self._source, self.waiting_bytes, error)
                return False
        priority, position, last = batch[-1]
        async with self._disk:
            await asyncio.to_thread(self._spool.advance, priority, position)
        self._room.set()
        self._tell()
        late_ms = self._clock() - last.kept_ms
        log.info(
            "%s: sent what waited on disk for %.0f s, %d bytes left", self._source, late_ms / 1000, self.waiting_bytes
        )
        return True

    async def _send_in_turn(self, frames: list[SpooledFrame]) -> None:
        for frame in frames:
            try:
                await self._send(frame.topic, frame.partition, frame.key, frame.value, frame.headers)
            except UnsendableError as error:
                log.error("%s: Kafka refuses a frame of %d rows: %s", self._source, frame.rows, error)  # noqa: TRY400
                self.dropped["refused"] += frame.rows
                telemetry.DROPPED.labels(self._source, "refused").inc(frame.rows)
            else:
                self._spend(frame)

    def _tell(self) -> None:
        """Tell what waits, and count what the disk's bound has cost since it was last told."""
        spooled = self.spooled()
        telemetry.SPOOLED_BYTES.labels(self._source).set(spooled.size_bytes)
        telemetry.SPOOLED_SECONDS.labels(self._source).set(spooled.oldest_ms / 1000)
        telemetry.SPOOL_DAMAGED_BYTES.labels(self._source).set(self._spool.damaged_bytes)
        for reason, rows in self._spool.dropped.items():
            if rows:
                log.error("%s: %d rows lost: %s", self._source, rows, reason)
                self.dropped[reason] += rows
                telemetry.DROPPED.labels(self._source, reason).inc(rows)
        self._spool.dropped.clear()


def _partition(frame: SpooledFrame) -> tuple[str, int]:
    return frame.topic, frame.partition
