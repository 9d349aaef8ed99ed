"""Keeps Python's collector of cyclic garbage from stopping a hub: a full pass over 500 clusters takes seconds.

What a hub remembers lives for long and holds few cycles that come and go. So what is there is set aside (`gc.freeze`),
and the collector passes over what is new only. Clusters that leave do leave cycles behind: these are looked for now
and then, which costs one full pass.
"""

import gc
import time
from collections.abc import Callable

from prometheus_client import Gauge

PASS_SECONDS = Gauge("abdrift_hub_heap_pass_seconds", "How long the last full pass for cyclic garbage took.")
_GROWN = 0.1
_THAW_EVERY_SECONDS = 3_600.0


class Heap:
    """Told how much is remembered, and that something was let go, sets aside what will stay."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._aside = 0
        self._let_go = False
        self._thawed_seconds = clock()

    def let_go(self) -> None:
        """Note that a cluster left."""
        self._let_go = True

    def settle(self, remembered: int) -> bool:
        """Set everything aside where a tenth more or less is remembered than at the last time; return whether it was.

        `remembered` is any measure that grows with what is kept, such as a number of objects.
        """
        thaws = self._let_go and self._clock() - self._thawed_seconds >= _THAW_EVERY_SECONDS
        if not thaws and abs(remembered - self._aside) <= _GROWN * self._aside:
            return False
        if thaws:
            begun = self._clock()
            gc.unfreeze()
            gc.collect()
            self._let_go, self._thawed_seconds = False, self._clock()
            PASS_SECONDS.set(self._thawed_seconds - begun)
        else:
            gc.collect(1)  # what is garbage already must not be kept for good
        gc.freeze()
        self._aside = remembered
        return True

    def release(self) -> None:
        """Leave the collector as it was found."""
        gc.unfreeze()
