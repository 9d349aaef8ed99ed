"""Warning Events weighed against their usual rate: a chatty workload is not ill for being itself."""

import msgspec

MINUTE_MS = 60_000
WINDOW_MINUTES = 5
_FORGETTING = 0.05
"""Share by which each past minute moves the usual rate: half of it is forgotten in about 14 minutes."""
_FACTOR = 3.0
_AT_LEAST = 5
_FORGOTTEN_PER_MINUTE = 0.01
_MAX_IDLE_MINUTES = 60 * 24


class Warnings(msgspec.Struct, frozen=True, tag="warnings"):
    """Counts of one workload's Warning Events: whole minutes, the newest last."""

    minute: int = 0
    counts: tuple[int, ...] = (0,) * WINDOW_MINUTES
    usual_per_minute: float = 0.0
    last_reason: str = ""

    @property
    def recent(self) -> int:
        """Events within the window."""
        return sum(self.counts)

    @property
    def unusual(self) -> bool:
        """Whether the window holds more than this workload's usual rate explains."""
        return self.recent >= max(_AT_LEAST, _FACTOR * self.usual_per_minute * WINDOW_MINUTES)

    @property
    def spent(self) -> bool:
        """Whether it says nothing more than a fresh one would."""
        return self.recent == 0 and self.usual_per_minute < _FORGOTTEN_PER_MINUTE


def advance(state: Warnings, now_ms: int) -> Warnings:
    """Move the window on to now; minutes that leave it teach the usual rate."""
    minute = now_ms // MINUTE_MS
    if not state.minute or minute - state.minute > _MAX_IDLE_MINUTES:
        return Warnings(minute=minute, last_reason=state.last_reason)
    counts, usual = list(state.counts), state.usual_per_minute
    for _ in range(minute - state.minute):
        usual += _FORGETTING * (counts.pop(0) - usual)
        counts.append(0)
    return msgspec.structs.replace(
        state, minute=max(minute, state.minute), counts=tuple(counts), usual_per_minute=usual
    )


def add(state: Warnings, now_ms: int, count: int, reason: str) -> Warnings:
    """Count Events seen now."""
    moved = advance(state, now_ms)
    counts = (*moved.counts[:-1], moved.counts[-1] + max(0, count))
    return msgspec.structs.replace(moved, counts=counts, last_reason=reason or moved.last_reason)
