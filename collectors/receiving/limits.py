"""How much a client may send: token buckets on a clock that is passed in."""

from dataclasses import dataclass

from collectors.receiving.config import Rate


@dataclass(slots=True)
class Bucket:
    """Tokens that flow in at a rate, up to a capacity of at least one.

    Whoever finds one may take any number; what is more than there are is a debt, to be waited off. So a size may be
    charged once it is known, and one body that is larger than the capacity still passes.
    """

    per_second: float
    capacity: float
    level: float
    filled_seconds: float

    def wait_seconds(self, now_seconds: float) -> float:
        """Return how long until something may be taken; 0 where it may be now."""
        self._fill(now_seconds)
        return 0.0 if self.level >= 1 else (1 - self.level) / self.per_second

    def take(self, amount: float, now_seconds: float) -> None:
        """Charge what was sent."""
        self._fill(now_seconds)
        self.level -= amount

    def _fill(self, now_seconds: float) -> None:
        passed = max(0.0, now_seconds - self.filled_seconds)
        self.level = min(self.capacity, self.level + passed * self.per_second)
        self.filled_seconds = max(self.filled_seconds, now_seconds)


@dataclass(slots=True)
class Allowance:
    """One client's buckets, and how many of its requests are under way."""

    requests: Bucket
    size: Bucket
    concurrent_requests: int
    under_way: int = 0

    @classmethod
    def of(cls, rate: Rate, now_seconds: float) -> "Allowance":
        """Return full buckets."""

        def full(per_second: float) -> Bucket:
            # A rate below one a burst would never let a request pass.
            capacity = max(1.0, per_second * rate.burst_seconds)
            return Bucket(per_second, capacity, capacity, now_seconds)

        return cls(full(rate.requests_per_second), full(rate.bytes_per_second), rate.concurrent_requests)

    def wait_seconds(self, now_seconds: float) -> float:
        """Return how long until the client may send again; 0 where it may now."""
        return max(self.requests.wait_seconds(now_seconds), self.size.wait_seconds(now_seconds))
