"""What can be made to go wrong between a client and a simulated cluster."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Switches:
    """Faults of one cluster's connection; set from tests and by the injector, in effect at once."""

    silent: bool = False
    """No traffic at all: requests hang, open watches stall, nothing is lost meanwhile."""
    delay_seconds: float = 0.0
    """Each answer comes this much later."""
    refuse_code: int = 0
    """Answer with this status, 429 and 5xx alike, 0 for none."""
    refuse_count: int = 0
    """How many more answers to refuse; below 0 all of them."""
    retry_after_seconds: int = 0
    """`Retry-After` on what is refused, 0 for none."""
    clock_skew_seconds: float = 0.0
    """How far the cluster's clock is ahead."""
    expired_users: set[str] = field(default_factory=set)
    """Users whose token is no longer accepted: 401."""
    gone_as_status: bool = False
    """Answer a watch from before the kept history with HTTP 410 rather than with an ERROR event."""
    watch_epoch: int = 0
    wakers: set[asyncio.Event] = field(default_factory=set)

    def refuse(self, code: int, count: int = -1, retry_after_seconds: int = 0) -> None:
        """Refuse the next `count` requests with `code`."""
        self.refuse_code, self.refuse_count, self.retry_after_seconds = code, count, retry_after_seconds

    def take_refusal(self) -> int:
        """Give the status the next request is refused with, 0 if it is answered."""
        if not self.refuse_code or self.refuse_count == 0:
            return 0
        self.refuse_count -= self.refuse_count > 0
        return self.refuse_code

    def drop_watches(self) -> None:
        """End every open watch, as a proxy or a restart does."""
        self.watch_epoch += 1
        self.wake()

    def wake(self) -> None:
        """Make open watches look at the switches."""
        for waker in self.wakers:
            waker.set()

    async def heard(self) -> None:
        """Return once the cluster is not silent."""
        waker = asyncio.Event()
        self.wakers.add(waker)
        try:
            while self.silent:
                waker.clear()
                await waker.wait()
        finally:
            self.wakers.discard(waker)

    def speak(self) -> None:
        """End a silence."""
        self.silent = False
        self.wake()
