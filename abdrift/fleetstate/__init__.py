"""The fleet as it stands, folded from facts as they come: what the terminal, the page and the exporter show.

`facts` reads the few fields that any of them needs, `notes` is what is kept of each, `fleet` folds. State is a function
of the newest fact of each key: in which order topics are read decides nothing.

Forbidden here: I/O, clocks, and what only one view needs.
"""

from abdrift.fleetstate.facts import UnreadableError, read
from abdrift.fleetstate.fleet import (
    GOVERNOR,
    PLACES,
    RECENT,
    STALE_AFTER_MS,
    TOPICS,
    Fleet,
    folded,
    since,
    wanted,
)
from abdrift.fleetstate.notes import ENDLESS, STATUSES, Breaker, Cluster, Command, Ended, Finding, Owner

__all__ = [
    "ENDLESS",
    "GOVERNOR",
    "PLACES",
    "RECENT",
    "STALE_AFTER_MS",
    "STATUSES",
    "TOPICS",
    "Breaker",
    "Cluster",
    "Command",
    "Ended",
    "Finding",
    "Fleet",
    "Owner",
    "UnreadableError",
    "folded",
    "read",
    "since",
    "wanted",
]
