"""What is known of the fleet, and what happened since a moment: all that series are made of.

Grows with the fleet, its open findings and its commands in flight; what has ended is let go. Pure.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from abdrift import fleetstate
from abdrift.fleetstate import Cluster, Fleet, facts
from abdrift.latest import Change

BUCKETS_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
OTHER: Final = "other"
_MOST_LABEL_VALUES: Final = 200


@dataclass(slots=True)
class Counts:
    """What happened since a moment; labels beyond a bound are counted under `other`."""

    commands: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """By verb."""
    outcomes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """By verb and result."""
    decisions: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """By result and first reason."""
    dead_letters: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """By who refused, and reason."""
    corrected_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))
    """Not cumulated; the last is of what took longer than all bounds."""
    corrected_seconds: float = 0.0

    def take(self, fact: facts.Fact | None) -> None:
        """Count a fact."""
        match fact:
            case facts.Command():
                _count(self.commands, (fact.verb,))
            case facts.Outcome() if fact.result not in fleetstate.ENDLESS:
                _count(self.outcomes, (fact.verb, fact.result))
                if fact.result == "corrected" and fact.issued_at and fact.corrected_at:
                    self._took((fact.corrected_at - fact.issued_at).total_seconds())
            case facts.Decision():
                _count(self.decisions, (fact.result, fact.reasons[0].code if fact.reasons else ""))
            case facts.DeadLetter():
                _count(self.dead_letters, (fact.refused_by, fact.reason))
            case _:
                pass

    def _took(self, seconds: float) -> None:
        at = next((i for i, bound in enumerate(BUCKETS_SECONDS) if seconds <= bound), len(BUCKETS_SECONDS))
        self.corrected_buckets[at] += 1
        self.corrected_seconds += seconds


class View:
    """The fleet, and what happened. Facts appended before `counted_from_ms` are known and not counted."""

    def __init__(self, counted_from_ms: int) -> None:
        self.counted_from_ms = counted_from_ms
        self.fleet = Fleet(is_lean=True)
        self.counts = Counts()

    def absorb(self, change: Change) -> None:
        """Take a record in.

        Raises:
            fleetstate.UnreadableError: it is no fact, or not of the shape that its type promises.

        """
        fact = facts.read(change)
        self.fleet.fold(change, fact)
        if change.append_ms >= self.counted_from_ms:
            self.counts.take(fact)

    def clusters(self) -> dict[str, Cluster]:
        """Return the clusters that an inventory or a health fact tells of, by name."""
        return {name: cluster for name, cluster in self.fleet.clusters.items() if cluster.is_known}


def _count(counter: Counter[tuple[str, ...]], labels: tuple[str, ...]) -> None:
    if labels not in counter and len(counter) >= _MOST_LABEL_VALUES:
        labels = (OTHER,) * len(labels)
    counter[labels] += 1
