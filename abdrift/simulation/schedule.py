"""The simulation's time: callbacks in order of when they are due, driven by a wall clock or by hand."""

import asyncio
import functools
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000
_TURN_SECONDS = 0.005


class Schedule:
    """What is to happen when, for a whole fleet.

    Controllers are plain callbacks and never wait, so a test calls `advance` and sees the same order for the same
    seed, while `run` drives them in real time with one task for all clusters.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        """`clock` gives the wall clock in nanoseconds since the epoch."""
        self._clock = clock
        self._offset_ns = 0
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._wake = asyncio.Event()

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, as far as the simulation has come."""
        return self._clock() + self._offset_ns

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` once, `seconds` from now."""
        due_ns = self.now_ns() + int(seconds * NANOSECONDS)
        heapq.heappush(self._due, (due_ns, next(self._numbers), action))
        if self._due[0][0] == due_ns:
            self._wake.set()

    def advance(self, seconds: float) -> None:
        """Carry time on by hand, running what falls due on the way. Needs a clock that stands still."""
        end_ns = self.now_ns() + int(seconds * NANOSECONDS)
        while self._due and self._due[0][0] <= end_ns:
            due_ns, _, action = heapq.heappop(self._due)
            self._offset_ns += max(0, due_ns - self.now_ns())
            action()
        self._offset_ns += max(0, end_ns - self.now_ns())

    def follow(self, clock: Callable[[], int]) -> None:
        """Go on under another clock, such as the wall's after a start that was carried on by hand."""
        self._clock, self._offset_ns = clock, 0
        self._wake.set()

    async def run(self) -> None:
        """Run what is due, in real time, until cancelled."""
        while True:
            self._wake.clear()
            wait_seconds = self._run_due()
            if wait_seconds == 0:
                await asyncio.sleep(0)
                continue
            try:
                # Not wait_for: Python 3.11's can swallow a cancellation that meets the wake-up.
                async with asyncio.timeout(wait_seconds):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _run_due(self) -> float | None:
        """Run actions for a few milliseconds; seconds until the next, 0 if some are due, None if there is none.

        Whoever shares the event loop (HTTP, a demonstration's measurements) waits no longer than for one action more.
        """
        enough = time.perf_counter() + _TURN_SECONDS
        while self._due:
            wait_ns = self._due[0][0] - self.now_ns()
            if wait_ns > 0:
                return wait_ns / NANOSECONDS
            if time.perf_counter() >= enough:
                return 0
            heapq.heappop(self._due)[2]()
        return None


def timestamp(now_ns: int) -> str:
    """RFC 3339 in whole seconds, as Kubernetes writes `metav1.Time`."""
    return _second(now_ns // NANOSECONDS)


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_duration_seconds(text: str) -> float:
    """Seconds of a Go duration such as `1h0m30.5s`. Raises ValueError when it is none."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
    total, number, rest = 0.0, "", text
    while rest:
        number = "".join(itertools.takewhile(lambda c: c.isdigit() or c == ".", rest))
        rest = rest[len(number) :]
        unit = "".join(itertools.takewhile(str.isalpha, rest))
        rest = rest[len(unit) :]
        if not number or unit not in units:
            raise ValueError(f"not a Go duration: {text!r}; write it like 1h30m or 10s")
        total += float(number) * units[unit]
    return total


def go_duration(seconds: float) -> str:
    """Give a duration as Go prints it: `172.602296ms`, `30.05s`, `1h0m0s`."""
    if seconds < 1:
        return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
    minutes, rest = divmod(seconds, 60)
    tail = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if minutes < 1:
        return tail
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}h{minutes}m{tail}" if hours else f"{minutes}m{tail}"
