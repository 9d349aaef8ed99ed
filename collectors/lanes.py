"""One lane: the rows of one signal from one source to one partition, closed into frames and sent in order."""

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from abdrift.envelope import MAX_ROWS, EncodedFrame
from abdrift.signals.alerts import AlertRow
from abdrift.signals.events import EventRow
from abdrift.signals.logs import LogRow
from abdrift.signals.objects import ObjectRow
from abdrift.signals.samples import SampleRow
from abdrift.signals.schema import Signal
from abdrift.topics import DEFAULT_PARTITIONS
from collectors import telemetry

log = logging.getLogger(__name__)


class Block(ABC):
    """Many samples of one cluster as columns, which wait for their frame like a row."""

    __slots__ = ()

    cluster: str
    size_bytes: int
    """About what its samples' texts and columns take."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """The number of samples, at least one."""

    @abstractmethod
    def halves(self) -> "tuple[Block, Block]":
        """Return the block as two, in order. It has at least two samples."""

    @staticmethod
    @abstractmethod
    def columns_of(blocks: Sequence[Any]) -> dict[str, Any]:
        """Return the columns of blocks of this type, one block after another, as a framer's `encode` takes them."""


Row = ObjectRow | EventRow | SampleRow | LogRow | AlertRow | Block
"""What a framer takes: one row, or a block of many that lie in columns already."""
Headers = tuple[tuple[str, bytes], ...]
Send = Callable[[str, int, bytes, bytes, Headers], Awaitable[None]]
"""`send(topic, partition, key, value, headers)` returns once Kafka has acknowledged; it raises `UnsendableError` for
what Kafka will never take, and anything else for what is worth another try. Its producer must be idempotent."""


Encode = Callable[[Signal, dict[str, Any], tuple[str, int, int]], EncodedFrame]
"""`encode(signal, columns, (source, epoch, sequence))` as `abdrift.frames.encode` has it."""


class Spooled(NamedTuple):
    """What waits on disk where Kafka can't be reached."""

    size_bytes: int = 0
    oldest_ms: int = 0
    """For how long the oldest frame of it has waited."""


WITHDRAWN: Final = "withdrawn"
"""Why rows are released that their caller no longer waits for: nobody was told that they are taken."""


class UnsendableError(Exception):
    """A record that Kafka refuses for good, e.g. since it is too large."""


class FramerSettings(BaseModel):
    """When frames close and how much may wait."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: int = Field(default=DEFAULT_PARTITIONS, ge=1)
    max_rows: int = Field(default=10_000, ge=1, le=MAX_ROWS)
    max_age_ms: int = Field(default=1_000, ge=1)
    linger_ms: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="How long an urgent row waits for company. Above 20 it is felt; a costly link may be worth it.",
    )
    max_raw_bytes: int = Field(default=4 * 1024 * 1024, ge=1, description="Rows' bytes before encoding.")
    max_value_bytes: int = Field(default=900_000, ge=1_000, description="A larger frame is split.")
    buffer_rows: int = Field(default=50_000, ge=1, description="Rows a source may hold; beyond it, it waits.")
    buffer_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    retry_initial_seconds: float = Field(default=0.1, gt=0)
    retry_max_seconds: float = Field(default=5, gt=0)


@dataclass(frozen=True, slots=True)
class LaneTarget:
    """Where a lane's frames go and how its rows become columns."""

    signal: Signal
    topic: str
    partition: int
    columns_of: Callable[[Sequence[Any]], dict[str, list[Any]]]


@dataclass(slots=True)
class Receipt:
    """What becomes of rows that somebody waits for: `wait` returns once none of them is on its way any more."""

    outstanding: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Rows lost, by reason."""
    _done: asyncio.Event = field(default_factory=asyncio.Event)

    def settle(self, rows: int, reason: str | None) -> None:
        """Note that rows were acknowledged, or lost for that reason."""
        self.outstanding -= rows
        if reason:
            self.refused[reason] += rows
        if not self.outstanding:
            self._done.set()

    async def wait(self) -> None:
        """Wait until every row is acknowledged or lost."""
        if self.outstanding:
            await self._done.wait()


@dataclass(slots=True)
class Waiting:
    """A row or block that waits for its frame."""

    row: Row
    size_bytes: int
    receipt: Receipt | None = None
    rows: int = 1

    def halves(self) -> "tuple[Waiting, ...]":
        """Return a block as two; nothing where it cannot be divided."""
        if not isinstance(self.row, Block) or self.rows == 1:
            return ()
        first, second = self.row.halves()
        size_bytes = self.size_bytes // 2
        return (
            Waiting(first, size_bytes, self.receipt, first.rows),
            Waiting(second, self.size_bytes - size_bytes, self.receipt, second.rows),
        )


class Lane:
    """Rows in, frames out, one frame under way at a time. `run` must be running for anything to be sent."""

    def __init__(  # the lane's identity and what it works with
        self,
        identity: tuple[str, int],
        target: LaneTarget,
        settings: FramerSettings,
        *,
        encode: Encode,
        send: Send,
        rng: random.Random,
        released: Callable[[Sequence[Waiting], str | None], None],
    ) -> None:
        """`identity` is source and epoch; `released` takes rows that are done with, and why if they were dropped."""
        self.target = target
        self._source, self._epoch = identity
        self._settings = settings
        self._encode = encode
        self._send = send
        self._rng = rng
        self._released = released
        self._sequence = 0
        self._waiting: deque[Waiting] = deque()
        self._under_way: deque[Waiting] = deque()
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._due_seconds = float("inf")
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._flushing = False

    def add(self, waiting: Waiting, *, urgent: bool) -> None:
        """Queue a row. `urgent` rows go out within the linger, others within the frame's age."""
        wait_ms = self._settings.linger_ms if urgent else self._settings.max_age_ms
        due = asyncio.get_running_loop().time() + wait_ms / 1000
        self._waiting.append(waiting)
        self._waiting_rows += waiting.rows
        self._waiting_bytes += waiting.size_bytes
        self._idle.clear()
        if due < self._due_seconds:
            self._due_seconds = due
            self._wake.set()
        elif self._full:
            self._wake.set()

    def withdraw(self, receipt: Receipt) -> None:
        """Give up rows that wait under a receipt; those under way are sent all the same."""
        gone = [waiting for waiting in self._waiting if waiting.receipt is receipt]
        if not gone:
            return
        self._waiting = deque(waiting for waiting in self._waiting if waiting.receipt is not receipt)
        self._waiting_rows -= sum(waiting.rows for waiting in gone)
        self._waiting_bytes -= sum(waiting.size_bytes for waiting in gone)
        if not self._waiting:
            self._due_seconds = float("inf")
            if not self._under_way:
                self._idle.set()
        self._released(gone, WITHDRAWN)

    async def flush(self) -> None:
        """Send what waits now, and return once the lane is empty."""
        self._flushing = True
        self._wake.set()
        try:
            await self._idle.wait()
        finally:
            self._flushing = False

    def abandon(self) -> None:
        """Give up what was neither acknowledged nor refused. To be called when `run` has ended."""
        left = [*self._under_way, *self._waiting]
        self._under_way.clear()
        self._waiting.clear()
        self._waiting_rows = self._waiting_bytes = 0
        if left:
            self._released(left, "stopped")

    async def run(self) -> None:
        """Close and send frames until cancelled."""
        while True:
            await self._until_due()
            self._take()
            if self._under_way:
                await self._deliver(list(self._under_way))
            if not self._waiting:
                self._idle.set()

    @property
    def _full(self) -> bool:
        return self._waiting_rows >= self._settings.max_rows or self._waiting_bytes >= self._settings.max_raw_bytes

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while not (self._waiting and (self._full or self._flushing or loop.time() >= self._due_seconds)):
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._due_seconds if self._waiting else None):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _take(self) -> None:
        """Move a frame's worth of rows from those that wait to those under way."""
        rows = size_bytes = 0
        limits = self._settings
        while self._waiting and rows < limits.max_rows and size_bytes < limits.max_raw_bytes:
            self._under_way.append(self._waiting.popleft())
            rows += self._under_way[-1].rows
            size_bytes += self._under_way[-1].size_bytes
        self._waiting_rows -= rows
        self._waiting_bytes -= size_bytes
        # What is left has waited as long as what was taken, or came while it was: it is due at once.
        self._due_seconds = asyncio.get_running_loop().time() if self._waiting else float("inf")

    async def _deliver(self, rows: Sequence[Waiting]) -> None:
        """Send rows as one frame, or as two where it is too large, and release them."""
        part = (self._source, self._epoch, self._sequence)
        frame = self._encode(self.target.signal, self.target.columns_of([each.row for each in rows]), part)
        if len(frame.value) > self._settings.max_value_bytes and len(rows) > 1:
            middle = len(rows) // 2
            await self._deliver(rows[:middle])
            await self._deliver(rows[middle:])
            return
        if len(frame.value) > self._settings.max_value_bytes and (halves := rows[0].halves()):
            self._under_way.popleft()
            self._under_way.extendleft(reversed(halves))
            await self._deliver(halves)
            return
        self._sequence += 1
        with telemetry.FRAME_SECONDS.labels(self.target.signal.name).time():
            refused = await self._send_until_acknowledged(frame)
        for _ in rows:
            self._under_way.popleft()
        self._released(rows, refused)

    async def _send_until_acknowledged(self, frame: EncodedFrame) -> str | None:
        target, delay_seconds = self.target, self._settings.retry_initial_seconds
        while True:
            try:
                await self._send(target.topic, target.partition, self._source.encode(), frame.value, frame.headers)
            except UnsendableError as error:
                log.error("%s: Kafka refuses a frame of %d rows: %s", self._source, frame.rows, error)  # noqa: TRY400
                return "refused"
            except Exception as error:  # noqa: BLE001  whatever the client raises: counted, and tried again
                telemetry.SEND_ERRORS.labels(self._source, type(error).__name__).inc()
                log.warning("%s: a frame was not sent and is tried again: %r", self._source, error)
                await asyncio.sleep(delay_seconds * self._rng.uniform(0.5, 1))
                delay_seconds = min(2 * delay_seconds, self._settings.retry_max_seconds)
            else:
                telemetry.FRAMES.labels(self._source, target.signal.name).inc()
                telemetry.FRAME_BYTES.labels(self._source, target.signal.name).inc(len(frame.value))
                return None
