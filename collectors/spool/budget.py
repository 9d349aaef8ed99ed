"""How many bytes an agent may send in a day: state may use all of it, the firehose only a part."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from abdrift.clock import ClockMs, wall_clock_ms
from collectors.spool.queue import Priority
from collectors.spool.segments import SpooledFrame

_DAY_MS = 86_400_000
_OVERHEAD_BYTES = 600
"""About what a record costs besides its value: headers, the protocol around it, and the answer."""
_SHARES = {Priority.STATE: 1.0, Priority.FIREHOSE: 0.5}
_SAVED_EVERY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Spent:
    """What has been sent on a day, counted in days of UTC since 1970."""

    day: int
    size_bytes: int = 0


class DailyBudget:
    """One agent's budget. It is remembered over restarts, but for what was sent since it was last saved."""

    def __init__(self, max_bytes: int, path: Path, clock: ClockMs = wall_clock_ms) -> None:
        """`path` is where it is remembered; its folder exists."""
        self._max_bytes = max_bytes
        self._path = path
        self._clock = clock
        self._spent = self._saved = self._stored()

    def allows(self, priority: Priority) -> bool:
        """Whether frames of a priority may still be sent today."""
        return self._today().size_bytes < _SHARES[priority] * self._max_bytes

    def spend(self, frame: SpooledFrame) -> None:
        """Count a frame that was sent."""
        today = self._today()
        self._spent = _Spent(today.day, today.size_bytes + len(frame.value) + _OVERHEAD_BYTES)
        if self._spent.day != self._saved.day or self._spent.size_bytes - self._saved.size_bytes >= _SAVED_EVERY_BYTES:
            self._saved = self._spent
            with contextlib.suppress(OSError):  # a full disk must not end the sending
                self._path.write_text(f"{self._spent.day} {self._spent.size_bytes}")

    @property
    def spent_bytes(self) -> int:
        """What has been sent today."""
        return self._today().size_bytes

    def _today(self) -> _Spent:
        day = self._clock() // _DAY_MS
        return self._spent if self._spent.day == day else _Spent(day)

    def _stored(self) -> _Spent:
        try:
            day, size_bytes = map(int, self._path.read_text().split())
        except (OSError, ValueError):
            return _Spent(0)
        return _Spent(day, size_bytes)
