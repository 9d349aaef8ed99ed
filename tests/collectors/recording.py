"""Outlets that keep what they are given, for tests."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from typing import TYPE_CHECKING, Any

from abdrift import frames
from abdrift.cloudevents import CloudEvent
from abdrift.facts.dead_letter import DeadLetter
from abdrift.signals import alerts, events, logs, objects, samples
from abdrift.signals.events import EventRow
from abdrift.signals.objects import ObjectRow
from abdrift.topics import DEAD_LETTERS
from collectors.lanes import Spooled
from tests.parts.waiting import WITHIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from collectors.lanes import Headers, Row

ROWS_OF: dict[str, Callable[[pa.RecordBatch], list[Any]]] = {
    "alerts": alerts.rows_of,
    "events": events.rows_of,
    "logs": logs.rows_of,
    "objects": objects.rows_of,
    "samples": samples.rows_of,
}


class Recording:
    """An outlet that keeps its rows."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.dropped: Counter[str] = Counter()
        self.spooled = Spooled()
        self._more = asyncio.Event()

    async def put(self, row: Row, *, urgent: bool = False) -> None:  # noqa: ARG002  the protocol's
        self.rows.append(row)
        self._more.set()

    async def broadcast(self, row: Row, *, urgent: bool = False) -> None:
        await self.put(row, urgent=urgent)

    async def deliver(self, rows: Sequence[Row], *, urgent: bool = True) -> None:
        for row in rows:
            await self.put(row, urgent=urgent)

    @property
    def objects(self) -> list[ObjectRow]:
        return [row for row in self.rows if isinstance(row, ObjectRow)]

    @property
    def events(self) -> list[EventRow]:
        return [row for row in self.rows if isinstance(row, EventRow)]

    def clear(self) -> None:
        self.rows.clear()

    async def until(
        self, wanted: Callable[[ObjectRow], bool], what: str, within_seconds: float = WITHIN_SECONDS
    ) -> ObjectRow:
        """Return the first row that is wanted, waiting for it. Raises AssertionError, naming `what`."""
        try:
            async with asyncio.timeout(within_seconds):
                while True:
                    self._more.clear()
                    for row in self.objects:
                        if wanted(row):
                            return row
                    await self._more.wait()
        except TimeoutError:
            seen = Counter((row.op, row.kind) for row in self.objects)
            raise AssertionError(f"not within {within_seconds:g} s: {what} (rows: {dict(seen)})") from None


class RecordingLetters:
    """A `Send` that keeps dead letters. `failures` are raised first, one a call."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.letters: list[DeadLetter] = []
        self.failures = failures or []

    async def __call__(self, topic: str, partition: int, key: bytes, value: bytes, headers: Headers) -> None:  # noqa: ARG002
        assert topic == DEAD_LETTERS.name
        if self.failures:
            raise self.failures.pop(0)
        self.letters.append(DeadLetter.model_validate(CloudEvent.decode(value).data))

    @property
    def reasons(self) -> list[str]:
        return [letter.reason for letter in self.letters]

    @property
    def values(self) -> list[bytes]:
        return [base64.b64decode(letter.value_base64 or "") for letter in self.letters]


class RecordingTopic:
    """A `Send` that keeps each frame, decoded. `failures` are raised first, one a call."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.frames: list[tuple[str, int, frames.Frame]] = []
        self.failures = failures or []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(
        self,
        topic: str,
        partition: int,
        key: bytes,  # noqa: ARG002
        value: bytes,
        headers: Headers,
    ) -> None:
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.frames.append((topic, partition, frames.decode(value, headers)))

    @property
    def rows(self) -> list[Row]:
        found: list[Row] = []
        for _, _, frame in self.frames:
            found += ROWS_OF[frame.signal.name](frame.batch)
        return found
