"""Unusually many Warning Events, as `streams.rates` tells of them."""

from typing import Final

from abdrift.signals.rates import RateRow
from streams.health.cells import Reason, Unplaced, Warnings, Word
from streams.health.placing import Shelf
from streams.health.work import Work

SHELF: Final[Shelf[Word]] = Shelf(Warnings, Unplaced, "warnings", "unplaced")
TOLD: Final = "told"
"""Key of the cell that says which frames of words were taken."""
_WINDOW_MINUTES: Final = 5
"""Over which `streams.rates` counts Warnings."""


def take(work: Work, row: RateRow) -> str | None:
    """Take a word; return the key of the workload that is to be judged for it."""
    word = Word(row.warnings, row.reason) if row.unusual else None
    return SHELF.take(work, (row.cluster, row.namespace), f"{row.kind}/{row.name}", word)


def reasons(work: Work, key: str) -> tuple[Reason, ...]:
    """Return what Warnings say against a workload."""
    words = list(SHELF.of(work, key).values())
    if not words:
        return ()
    count = sum(word.warnings for word in words)
    message = f"{count} Warning events in {_WINDOW_MINUTES} minutes, the last: {words[-1].reason}"
    return (Reason("WarningEvents", message, "degraded", work.now_ms, "events"),)
