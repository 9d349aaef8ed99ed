"""One cluster's share of a process that watches many: how fast it may be asked, and how fast it may speak.

A share is used up by its own cluster alone. What is beyond it waits, and so does the cluster: its answers stay in the
connection, and an API server ends a watch whose reader is too slow, which then goes on from where it stood.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter

THROTTLED = Counter(
    "abdrift_hub_throttled_seconds", "Time that a cluster was made to wait for its own share.", ["source", "what"]
)


class Share(Protocol):
    """What a request asks before it is sent, and before what it brought is looked at."""

    slots: asyncio.Semaphore
    """Requests under way at once, watches left out."""
    max_answer_bytes: int

    async def asked(self) -> None:
        """Wait until one more request may be sent."""

    async def received(self, size_bytes: int) -> None:
        """Wait until as many bytes more may be looked at."""


class Unlimited:
    """The share of a process that watches nothing else."""

    max_answer_bytes = 256 * 1024 * 1024

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(1_000)

    async def asked(self) -> None:
        """Wait for nothing."""

    async def received(self, size_bytes: int) -> None:
        """Wait for nothing."""


@dataclass(slots=True)
class Bucket:
    """Fills at `per_second` up to `burst`. Who takes more than there is waits until that is paid off."""

    per_second: float
    burst: float
    _level: float = field(init=False)
    _at_seconds: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._level = self.burst

    def take(self, amount: float, now_seconds: float) -> float:
        """Take an amount now; return how many seconds to wait for it."""
        if self._at_seconds is not None:
            self._level = min(self.burst, self._level + (now_seconds - self._at_seconds) * self.per_second)
        self._at_seconds = now_seconds
        self._level -= amount
        return max(0.0, -self._level / self.per_second)


class FairShare:
    """A share with bounds; each cluster has one of its own."""

    def __init__(
        self,
        source: str,
        requests: Bucket,
        received: Bucket,
        *,
        concurrency: int,
        max_answer_bytes: int,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` gives seconds that only go forward, by default the event loop's."""
        self.slots = asyncio.Semaphore(concurrency)
        self.max_answer_bytes = max_answer_bytes
        self._source = source
        self._requests = requests
        self._received = received
        self._clock = clock or asyncio.get_running_loop().time

    async def asked(self) -> None:
        """Wait until one more request may be sent."""
        await self._wait(self._requests.take(1, self._clock()), "requests")

    async def received(self, size_bytes: int) -> None:
        """Wait until as many bytes more may be looked at; the other clusters have their turn meanwhile in any case."""
        await self._wait(self._received.take(size_bytes, self._clock()), "bytes")

    async def _wait(self, seconds: float, what: str) -> None:
        if seconds:
            THROTTLED.labels(self._source, what).inc(seconds)
        await asyncio.sleep(seconds)
