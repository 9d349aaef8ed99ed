"""Keeps Python's collector of cyclic garbage from stopping a hub: a full pass over 500 clusters takes seconds.

What a hub remembers lives for long and holds hardly any cycles that come and go: watches that end and begin leave none.
So what has survived a full pass is set aside (`gc.freeze`), and the next one passes over what is new only. Clusters
that leave do leave cycles behind: these are looked for now and then, which costs one pass over everything.
"""

import gc
import time
from collections.abc import Callable

from prometheus_client import Gauge

PASS_SECONDS = Gauge("abdrift_hub_heap_pass_seconds", "How long the last pass over everything took.")
_THAW_EVERY_SECONDS = 3_600.0
_OLDEST = 2


class Heap:
    """Told now and then to settle, and that something was let go, sets aside what will stay."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._passes = _full_passes()
        self._let_go = False
        self._thawed_seconds = clock()

    def let_go(self) -> None:
        """Note that a cluster left."""
        self._let_go = True

    def settle(self) -> bool:
        """Set aside what has survived a full pass since the last time; return whether there was one."""
        if self._let_go and self._clock() - self._thawed_seconds >= _THAW_EVERY_SECONDS:
            begun = self._clock()
            gc.unfreeze()
            gc.collect()
            self._let_go, self._thawed_seconds = False, self._clock()
            PASS_SECONDS.set(self._thawed_seconds - begun)
        if self._passes == (passes := _full_passes()):
            return False
        self._passes = passes
        gc.freeze()
        return True

    def release(self) -> None:
        """Leave the collector as it was found."""
        gc.unfreeze()


def _full_passes() -> int:
    return int(gc.get_stats()[_OLDEST]["collections"])
