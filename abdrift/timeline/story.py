"""Folds the facts about one cluster into entries, as they come or all at once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from abdrift.timeline import governing, seeing
from abdrift.timeline.entries import Entry, Kind, in_order
from abdrift.timeline.memory import Memory, Told
from abdrift.topics import (
    APPROVAL,
    BREAKER,
    COMMAND,
    DECISION,
    FINDING,
    HEALTH,
    INCIDENT,
    INVENTORY,
    OUTCOME,
    VERDICT,
)

__all__ = ["Head", "Story", "Told"]

_TELLERS: Final = {
    FINDING.name: seeing.finding,
    VERDICT.name: seeing.verdict,
    HEALTH.name: seeing.health,
    INVENTORY.name: seeing.inventory,
    INCIDENT.name: seeing.incident,
    DECISION.name: governing.decision,
    BREAKER.name: governing.breaker,
    APPROVAL.name: governing.word,
    COMMAND.name: governing.command,
    OUTCOME.name: governing.outcome,
}
_BAD_FACT: Final = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ref of a remote Git repository is, as the Git collector told it."""

    url: str
    ref: str
    """In full, e.g. refs/heads/main."""
    commit: Mapping[str, Any]
    """`revision` as Flux writes it; author, message and time (RFC 3339) where they are known."""
    append_ms: int


@dataclass(slots=True)
class Story:
    """Takes facts about a cluster, or about the whole fleet, in order of append time; of other clusters' none."""

    cluster: str
    memory: Memory = field(init=False)
    told: list[Entry] = field(default_factory=list)
    unreadable: int = 0
    """Facts that are not as their schema says."""

    def __post_init__(self) -> None:
        self.memory = Memory(self.cluster)

    def learn(self, told: Iterable[Told]) -> None:
        """Take in what later facts say of commits and incidents, so that earlier entries can name them."""
        for each in told:
            try:
                self.memory.learn(each)
            except _BAD_FACT:
                continue  # counted where it is taken

    def take(self, told: Told) -> list[Entry]:
        """Take a fact in; return what it adds to the line of time."""
        teller = _TELLERS.get(str(told.event.get("type")))
        if teller is None or not self._is_mine(told.event):
            return []
        try:
            self.memory.learn(told)
            entries = teller(self.memory, told)
        except _BAD_FACT:
            self.unreadable += 1
            return []
        self.told += entries
        return entries

    def take_head(self, head: Head) -> list[Entry]:
        """Take in where a remote is; return what that adds, where the cluster follows it."""
        entries = seeing.head(self.memory, head.url, head.ref, head.commit, head.append_ms)
        self.told += entries
        return entries

    def entries(self, since_ms: int = 0) -> list[Entry]:
        """Return the line of time since then, and before that what still lasts."""
        return in_order(entry for entry in self._counting() if entry.at_ms >= since_ms or self._lasts(entry))

    def about(self, finding_id: str) -> list[Entry]:
        """Return the entries about one finding and what was done for it."""
        return in_order(entry for entry in self._counting() if finding_id in entry.finding_ids)

    def _counting(self) -> Iterator[Entry]:
        """Yield what counts in the end: that a command was accepted does not, once it is known what came of it."""
        return (each for each in self.told if each.what != "accepted" or each.command_id not in self.memory.ended)

    def _lasts(self, entry: Entry) -> bool:
        if entry.kind is Kind.DRIFT:
            return entry.what == "found" and self.memory.is_open(entry.finding_ids)
        if entry.kind is Kind.INCIDENT:
            incident = self.memory.incidents.get(entry.incident_id or "")
            return incident is not None and incident["state"] == "open"
        if entry.kind is Kind.HEALTH:
            return entry.what != "healthy" and entry is self.memory.newest_health
        return False

    def _is_mine(self, event: Mapping[str, Any]) -> bool:
        return event.get("cluster") in (None, self.cluster)
