"""How long to wait before the next try."""

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Doubles from `initial_seconds` to `max_seconds`, with jitter of a half, until `reset`."""

    initial_seconds: float
    max_seconds: float
    rng: random.Random
    _next_seconds: float = field(default=0, init=False)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._next_seconds = 0

    def seconds(self, at_least: float | None = None) -> float:
        """Return the next wait; never below what the server asked for."""
        self._next_seconds = min(max(self.initial_seconds, 2 * self._next_seconds), self.max_seconds)
        return max(at_least or 0, self._next_seconds * self.rng.uniform(0.5, 1))
