"""When the state of a cluster that went away is let go, and how much of it at once; the same for every step.

A cluster that an inventory names is never forgotten, however long nobody hears of it: it is `unknown`. Times are append
times and count from when a step noticed the silence, not from the last heartbeat: after an outage of Kafka all clusters
look silent at first, and each has the whole time to be heard of again.
"""

from collections.abc import Iterable, Mapping
from typing import Final

WITHDRAWN_MS: Final = 600_000
"""After how long a silent cluster is forgotten that was withdrawn: its agent may be starting anew, or another hub be
taking it over."""
UNDECLARED_MS: Final = 7 * 86_400_000
"""The same of one that was never declared. Nobody said that it goes, so it may be back: from a weekend, or a week's
maintenance. Who means to be away for longer declares it."""
SLICE_CELLS: Final = 5_000
"""About as many cells go with one record, and with it into one commit: 0.5 MB of deletions. A cluster goes whole."""
SLICE_EVERY_MS: Final = 1_000
"""How long what did not fit waits."""


def limit_ms(*, withdrawn: bool) -> int:
    """Return after how long a silent cluster is forgotten that no inventory names."""
    return WITHDRAWN_MS if withdrawn else UNDECLARED_MS


def slice_of(sizes: Mapping[str, int]) -> Iterable[tuple[str, bool]]:
    """Yield each cluster, by name, and whether it goes now. The first always does.

    Args:
        sizes: By cluster: how many cells it has.

    """
    taken = 0
    for cluster in sorted(sizes):
        yield cluster, taken < SLICE_CELLS
        taken += sizes[cluster]
