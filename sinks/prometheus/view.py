"""What is known of the fleet: the few things of each fact that series are made of, and what happened since a moment.

Grows with the fleet, its open findings and its commands in flight; what has ended is let go. Pure.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from abdrift.clock import to_ms
from abdrift.latest import Change
from abdrift.topics import (
    BREAKER,
    COMMAND,
    DEAD_LETTER,
    DECISION,
    FINDING,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    HEALTH,
    INCIDENT,
    INVENTORY,
    OUTCOME,
    VERDICT,
)
from sinks.prometheus import facts

BUCKETS_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
_CLUSTER_KEYS: Final = "cluster/"
"""What the keys of clusters' health begin with."""
_MOST_LABEL_VALUES: Final = 200
_MOST_TEXT: Final = 200
OTHER: Final = "other"


class UnreadableError(ValueError):
    """A record that is no fact; `reason` is a stable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ClusterNote(NamedTuple):
    """How a cluster is."""

    status: str
    silent: bool
    complete: bool
    as_of_ms: int | None


UNHEARD: Final = ClusterNote("unknown", silent=True, complete=False, as_of_ms=None)
"""A cluster of which an inventory tells and no health fact."""


class PlaceNote(NamedTuple):
    """Where a cluster is, by its inventory; empty where that says nothing."""

    site: str = ""
    region: str = ""
    environment: str = ""
    latitude: str = ""
    longitude: str = ""


class FindingNote(NamedTuple):
    """An open finding."""

    cluster: str
    kind: str
    object_kind: str
    namespace: str
    name: str
    owner: str
    """Kind/name."""
    opened_ms: int


class BreakerNote(NamedTuple):
    """Whether the governor may act."""

    open: bool
    since_ms: int
    reasons: tuple[str, ...]


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

    def took(self, seconds: float) -> None:
        """Count a correction that took so long."""
        at = next((i for i, bound in enumerate(BUCKETS_SECONDS) if seconds <= bound), len(BUCKETS_SECONDS))
        self.corrected_buckets[at] += 1
        self.corrected_seconds += seconds


class View:
    """The newest of each subject. Facts appended before `counted_from_ms` are known and not counted."""

    def __init__(self, counted_from_ms: int) -> None:
        self.counted_from_ms = counted_from_ms
        self.clusters: dict[str, ClusterNote] = {}
        self.places: dict[str, PlaceNote] = {}
        self.findings: dict[str, FindingNote] = {}
        self.verdicts: dict[str, str] = {}
        self.incidents: dict[str, facts.Incident] = {}
        self.in_flight: dict[str, tuple[str, int]] = {}
        """Verb and expiry (ms since the epoch) of each command that has not ended, by its id."""
        self.breaker: BreakerNote | None = None
        self.counts = Counts()

    def absorb(self, change: Change) -> None:
        """Take a record in.

        Raises:
            UnreadableError: it is no fact, or not of the shape that its type promises.

        """
        if change.value is None:
            self._forget(change.topic, change.key)
            return
        try:
            event = facts.ENVELOPE.decode(change.value)
            self._take(event, change)
        except msgspec.ValidationError as error:
            raise UnreadableError("bad-fact", str(error)) from error
        except msgspec.DecodeError as error:
            raise UnreadableError("no-json", str(error)) from error

    def fleet(self) -> dict[str, ClusterNote]:
        """Return how each cluster is that an inventory or a health fact tells of."""
        return {**dict.fromkeys(self.places, UNHEARD), **self.clusters}

    def forget_expired(self, before_ms: int) -> None:
        """Let go of commands that expired before a moment without an outcome."""
        for command_id in [key for key, (_, expires_ms) in self.in_flight.items() if expires_ms < before_ms]:
            del self.in_flight[command_id]

    def _forget(self, topic: str, key: str) -> None:
        """Let go of what a key told of, which was withdrawn."""
        match topic:
            case FLEET_HEALTH.name:
                self.clusters.pop(key.removeprefix(_CLUSTER_KEYS), None)
            case FLEET_INVENTORY.name:
                self.places.pop(key, None)
            case FLEET_DRIFT.name:
                self.findings.pop(key, None)
                self.verdicts.pop(key, None)
            case FLEET_INCIDENTS.name:
                self.incidents.pop(key, None)

    def _take(self, event: facts.Envelope, change: Change) -> None:
        data, is_new = event.data, change.append_ms >= self.counted_from_ms
        match event.type:
            case HEALTH.name:
                self._health(msgspec.json.decode(data, type=facts.Health))
            case INVENTORY.name:
                self._inventory(msgspec.json.decode(data, type=facts.Inventory))
            case FINDING.name:
                self._finding(event.subject, msgspec.json.decode(data, type=facts.Finding))
            case VERDICT.name:
                self.verdicts[event.subject] = msgspec.json.decode(data, type=facts.Verdict).verdict
            case INCIDENT.name:
                self._incident(msgspec.json.decode(data, type=facts.Incident))
            case COMMAND.name:
                self._command(msgspec.json.decode(data, type=facts.Command), is_new=is_new)
            case OUTCOME.name:
                self._outcome(msgspec.json.decode(data, type=facts.Outcome), is_new=is_new)
            case DECISION.name if is_new:
                self._decision(msgspec.json.decode(data, type=facts.Decision))
            case BREAKER.name:
                said = msgspec.json.decode(data, type=facts.Breaker)
                self.breaker = BreakerNote(said.open, to_ms(said.since), tuple(reason.code for reason in said.reasons))
            case DEAD_LETTER.name if is_new:
                letter = msgspec.json.decode(data, type=facts.DeadLetter)
                _count(self.counts.dead_letters, (letter.refused_by, letter.reason))

    def _health(self, health: facts.Health) -> None:
        self.clusters[health.name] = ClusterNote(
            status=health.status,
            silent=any(reason.code == "Silent" for reason in health.reasons),
            complete=health.evidence.complete,
            as_of_ms=_ms(health.evidence.as_of),
        )

    def _inventory(self, inventory: facts.Inventory) -> None:
        told = {name: inventory.labels.get(name, "")[:_MOST_TEXT] for name in PlaceNote._fields}
        self.places[inventory.cluster.name] = PlaceNote(**told)

    def _finding(self, finding_id: str, finding: facts.Finding) -> None:
        if finding.state != "open":
            self.findings.pop(finding_id, None)
            return
        owner = f"{finding.owner.kind}/{finding.owner.name}" if finding.owner else ""
        self.findings[finding_id] = FindingNote(
            cluster=finding.cluster.name,
            kind=finding.kind,
            object_kind=finding.object.kind,
            namespace=finding.object.namespace,
            name=finding.object.name,
            owner=owner,
            opened_ms=to_ms(finding.times.opened_at),
        )

    def _incident(self, incident: facts.Incident) -> None:
        if incident.state == "open":
            self.incidents[incident.incident_id] = incident
        else:
            self.incidents.pop(incident.incident_id, None)

    def _command(self, command: facts.Command, *, is_new: bool) -> None:
        self.in_flight[command.command_id] = command.verb, to_ms(command.expires_at)
        if is_new:
            _count(self.counts.commands, (command.verb,))

    def _outcome(self, outcome: facts.Outcome, *, is_new: bool) -> None:
        if outcome.result == "accepted":
            return
        self.in_flight.pop(outcome.command_id, None)
        if not is_new:
            return
        _count(self.counts.outcomes, (outcome.verb, outcome.result))
        if outcome.result == "corrected" and outcome.issued_at and outcome.corrected_at:
            self.counts.took((outcome.corrected_at - outcome.issued_at).total_seconds())

    def _decision(self, decision: facts.Decision) -> None:
        reason = decision.reasons[0].code if decision.reasons else ""
        _count(self.counts.decisions, (decision.result, reason))


def _count(counter: Counter[tuple[str, ...]], labels: tuple[str, ...]) -> None:
    if labels not in counter and len(counter) >= _MOST_LABEL_VALUES:
        labels = (OTHER,) * len(labels)
    counter[labels] += 1


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
