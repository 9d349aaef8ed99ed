"""What this sink has carried out: kept in the outcomes topic, rebuilt from it at start, bounded by time."""

from collections import deque
from dataclasses import dataclass, field

from abdrift.clock import to_ms
from abdrift.facts.commands import Outcome, OutcomeResult

HOUR_MS = 3_600_000
KEPT_MS = 25 * HOUR_MS
"""Longer than any command may live, so that a command the ledger has forgotten has expired."""


@dataclass(slots=True)
class Entry:
    """One command that was accepted here."""

    partition: int | None
    offset: int | None
    accepted_ms: int
    final: bool


@dataclass(slots=True)
class Ledger:
    """The commands of one cluster, by id."""

    entries: dict[str, Entry] = field(default_factory=dict)
    accepted: deque[int] = field(default_factory=deque)
    """Times at which commands were accepted within the last hour, oldest first."""
    highest_fencing: int = -1

    def absorb(self, outcome: Outcome) -> None:
        """Take an outcome into account, whether read back at start or written just now."""
        if outcome.result in (OutcomeResult.REJECTED, OutcomeResult.EXPIRED):
            return
        at_ms = to_ms(outcome.received_at) if outcome.received_at else 0
        known = self.entries.get(outcome.command_id)
        if known is None:
            self.entries[outcome.command_id] = Entry(
                outcome.command_partition, outcome.command_offset, at_ms, outcome.result is not OutcomeResult.ACCEPTED
            )
            self.accepted.append(at_ms)
        elif outcome.result is not OutcomeResult.ACCEPTED:
            known.final = True
        if outcome.fencing is not None:
            self.highest_fencing = max(self.highest_fencing, outcome.fencing)

    def accepted_within_hour(self, now_ms: int) -> int:
        """Return how many commands were accepted in the 60 minutes before `now_ms`."""
        while self.accepted and self.accepted[0] <= now_ms - HOUR_MS:
            self.accepted.popleft()
        return len(self.accepted)

    def forget(self, now_ms: int) -> None:
        """Drop what is older than any command may live and has ended."""
        old = [i for i, entry in self.entries.items() if entry.final and entry.accepted_ms <= now_ms - KEPT_MS]
        for command_id in old:
            del self.entries[command_id]
