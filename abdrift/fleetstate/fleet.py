"""The fleet, folded from facts as they come: clusters, what is off course in them, why, and what is done. Pure.

What is kept of a fact is the little that every view shows; the whole fact stays in `abdrift.latest.Latest`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from abdrift.clock import to_ms
from abdrift.fleetstate import facts
from abdrift.fleetstate.notes import Breaker, Cluster, Command, Ended, Finding, Owner, Ref
from abdrift.latest import Change, Latest, Since
from abdrift.partitions import FLEET_SCOPE, partition_of
from abdrift.topics import (
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    Topic,
)

TOPICS: Final[tuple[Topic, ...]] = (FLEET_INVENTORY, FLEET_HEALTH, FLEET_DRIFT, FLEET_INCIDENTS)
"""Compacted: read whole."""
RECENT: Final[tuple[Topic, ...]] = (FLEET_DECISIONS, FLEET_COMMANDS, FLEET_OUTCOMES)
"""Kept for days to a year: read from some time ago on."""
GOVERNOR: Final = "governor"
"""The key of the breaker's state, in the partition of `FLEET_SCOPE` of the decisions."""
PLACES: Final = ("site", "region", "environment")
"""The labels by which clusters are grouped."""
STALE_AFTER_MS: Final = 5 * 60_000
"""Every cluster that is heard of is told anew each minute; if none was for so long, nobody tells any more."""

_RECENT: Final = frozenset(topic.name for topic in RECENT)
_CLUSTER_HEALTH: Final = "cluster/"


def wanted(topic: str, key: str) -> bool:
    """Whether a `Latest` must keep a key for a `Fleet`: of health only the clusters'."""
    return topic != FLEET_HEALTH.name or key.startswith(_CLUSTER_HEALTH)


def since(moment_ms: int) -> Since:
    """Return from when on a partition is read: recent topics from a moment on, in milliseconds since the epoch.

    Of the decisions, the fleet's partition is read whole: what it says of the breaker stands until it is said anew.
    """

    def of(topic: str, partition: int, partitions: int) -> int:
        is_breakers = topic == FLEET_DECISIONS.name and partition == partition_of(FLEET_SCOPE, partitions)
        return moment_ms if topic in _RECENT and not is_breakers else 0

    return of


@dataclass(slots=True)
class Fleet:
    """Takes changes in as they come; what it holds is for reading only.

    Grows with the fleet and its open findings. Of what has ended, findings and incidents are kept until their topics
    forget them, commands and outcomes until they are popped by who holds this; nothing of it where `is_lean`.
    """

    is_lean: bool = False
    """Whether only what is so now is kept: no closed findings and incidents, commands that ended, members, messages."""
    clusters: dict[str, Cluster] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    """Open ones, and closed ones until they are forgotten a day later."""
    incidents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The data of `abdrift.facts.incidents.Incident`, open and closed, by id."""
    commands: dict[str, Command] = field(default_factory=dict)
    outcomes: dict[str, Ended] = field(default_factory=dict)
    breaker: Breaker | None = None
    newest_ms: int = 0
    """When Kafka took the newest fact about any cluster."""
    unreadable: int = 0
    """Facts that are not as their schema says; what they are about stays as it was."""
    _verdicts: dict[str, str] = field(default_factory=dict)
    """Cluster by verdict id."""

    def take(self, change: Change) -> frozenset[str]:
        """Take a change in; return the names of the clusters that look different now."""
        try:
            fact = facts.read(change)
        except facts.UnreadableError:
            self.unreadable += 1
            return frozenset()
        return self.fold(change, fact)

    def take_all(self, changes: Iterable[Change]) -> frozenset[str]:
        """Take changes in, in order; return the names of the clusters that look different now."""
        return frozenset().union(*map(self.take, changes))

    def fold(self, change: Change, fact: facts.Fact | None) -> frozenset[str]:
        """Take in a change of which `facts.read` gave the fact; return the clusters that look different now."""
        if change.value is None:
            return self._forget(change.topic, change.key)
        touched: frozenset[str] = frozenset()
        match fact:
            case facts.Inventory():
                touched = self._inventory(fact)
            case facts.Health(scope="cluster", cluster=facts.Cluster(name)):
                touched = self._health(name, fact)
            case facts.Finding():
                touched = self._finding(change.key, fact)
            case facts.Verdict():
                touched = self._verdict(change.key, fact)
            case _:
                self._fold_fleetwide(change, fact)
                return touched
        self.newest_ms = max(self.newest_ms, change.append_ms)
        return touched

    def forget_commands(self, before_ms: int) -> None:
        """Let go of commands that expired before a moment, and of outcomes of commands that nobody told of by then."""
        expired = [key for key, each in self.commands.items() if each.expires_ms < before_ms]
        alone = [key for key, each in self.outcomes.items() if key not in self.commands and each.at_ms < before_ms]
        for key in (*expired, *alone):
            self.commands.pop(key, None)
            self.outcomes.pop(key, None)

    def counts(self, label: str | None = None) -> dict[str, Counter[str]]:
        """Return how many clusters have each status, and how many drift, by the value of a label.

        Args:
            label: `site`, `region`, `environment` or any other label; None counts the whole fleet under "".

        """
        found: dict[str, Counter[str]] = {}
        for cluster in self.clusters.values():
            counted = found.setdefault(cluster.place(label) if label else "", Counter())
            counted[cluster.status] += 1
            counted["clusters"] += 1
            counted["drifted"] += cluster.is_drifted
            counted["silent"] += cluster.is_silent
        return dict(sorted(found.items()))

    def drift(self) -> dict[str, int]:
        """Return how many findings are open, by kind, most first."""
        return dict(Counter(found.kind for found in self.findings.values() if found.is_open).most_common())

    def open_incidents(self) -> list[Mapping[str, Any]]:
        """Return the open incidents, those that reach most clusters first."""
        is_open = [each for each in self.incidents.values() if each["state"] == "open"]
        return sorted(is_open, key=lambda each: (-each["blast_radius"]["clusters"], each["opened_at"]))

    def incident_of(self, finding_id: str) -> Mapping[str, Any] | None:
        """Return the newest incident that lists a finding as its member."""
        holding = [
            each
            for each in self.incidents.values()
            if any(finding_id in member.get("finding_ids", ()) for member in each.get("members", ()))
        ]
        return max(holding, key=lambda each: str(each["changed_at"]), default=None)

    def in_flight(self, now_ms: int) -> list[Command]:
        """Return the commands that are neither done nor expired, oldest first."""
        ended = self.outcomes
        flying = [each for key, each in self.commands.items() if each.is_in_flight(ended.get(key), now_ms)]
        return sorted(flying, key=lambda each: each.issued_ms)

    def results(self, since_ms: int) -> dict[str, int]:
        """Return how many commands ended each way since then, most first."""
        ended = [each for each in self.outcomes.values() if each.at_ms >= since_ms and each.is_final]
        return dict(Counter(each.result for each in ended).most_common())

    def is_stale(self, now_ms: int) -> bool:
        """Whether facts about clusters have stopped coming: what is known of all of them is then old."""
        return now_ms - self.newest_ms > STALE_AFTER_MS

    def _fold_fleetwide(self, change: Change, fact: facts.Fact | None) -> None:
        key = change.key
        match fact:
            case facts.IncidentFact():
                self._incident(key, fact.data)
            case facts.Command():
                if self.is_lean and key in self.outcomes and self.outcomes[key].is_final:
                    del self.outcomes[key]
                else:
                    self.commands[key] = _command(fact)
            case facts.Outcome():
                self.outcomes[key] = _ended(fact, change.append_ms)
                if self.is_lean and self.outcomes[key].is_final and key in self.commands:
                    del self.commands[key]
                    del self.outcomes[key]
            case facts.Breaker() if key == GOVERNOR:
                self.breaker = _breaker(fact)
            case _:
                pass

    def _forget(self, topic: str, key: str) -> frozenset[str]:
        if topic == FLEET_INVENTORY.name:
            return self._uninventoried(key)
        if topic == FLEET_HEALTH.name:
            return self._unknown(key.removeprefix(_CLUSTER_HEALTH))
        if topic == FLEET_DRIFT.name:
            return self._drop_finding(key) | self._drop_verdict(key)
        if topic == FLEET_INCIDENTS.name:
            self.incidents.pop(key, None)
        return frozenset()

    def _cluster(self, name: str) -> Cluster:
        found = self.clusters.get(name)
        if found is None:
            found = self.clusters[name] = Cluster(name)
        return found

    def _untold(self, cluster: Cluster) -> frozenset[str]:
        """Take in that a fact about a cluster was taken back: after the last one it is gone."""
        if not cluster.is_told:
            self.clusters.pop(cluster.name, None)
        return frozenset({cluster.name})

    def _inventory(self, said: facts.Inventory) -> frozenset[str]:
        cluster = self._cluster(said.cluster.name)
        before = (cluster.is_inventoried, cluster.labels, cluster.declared)
        cluster.is_inventoried, cluster.labels, cluster.declared = True, said.labels, said.declared
        cluster.kubernetes_version = said.kubernetes_version
        cluster.git_sources = tuple((each.url, each.ref) for each in said.git_sources)
        cluster.last_seen_ms = _later(cluster.last_seen_ms, said.last_seen)
        return frozenset({cluster.name} if before != (True, cluster.labels, cluster.declared) else ())

    def _uninventoried(self, name: str) -> frozenset[str]:
        """Take in that no inventory names a cluster any more."""
        cluster = self.clusters.get(name)
        if cluster is None:
            return frozenset()
        cluster.is_inventoried, cluster.labels, cluster.declared = False, {}, False
        cluster.kubernetes_version, cluster.git_sources = None, ()
        return self._untold(cluster)

    def _health(self, name: str, said: facts.Health) -> frozenset[str]:
        cluster = self._cluster(name)
        before = (cluster.told_status, cluster.reasons)
        cluster.told_status, cluster.since_ms = said.status, to_ms(said.since)
        cluster.reasons = () if self.is_lean else tuple(each.message for each in said.reasons)
        cluster.told_silent = said.last_seen is None or any(each.code == "Silent" for each in said.reasons)
        cluster.last_seen_ms = _later(cluster.last_seen_ms, said.last_seen)
        cluster.as_of_ms, cluster.is_complete = _ms(said.evidence.as_of), said.evidence.complete
        return frozenset({name} if before != (cluster.told_status, cluster.reasons) else ())

    def _unknown(self, name: str) -> frozenset[str]:
        """Take in that nobody tells of a cluster's health any more."""
        cluster = self.clusters.get(name)
        if cluster is None:
            return frozenset()
        cluster.told_status, cluster.reasons, cluster.since_ms = "unknown", (), None
        cluster.as_of_ms, cluster.is_complete = None, False
        return self._untold(cluster)

    def _finding(self, key: str, said: facts.Finding) -> frozenset[str]:
        known = self.findings.get(key)
        if known is not None and known.revision > said.revision:
            return frozenset()  # after a crash a step may say again what it had said before
        found = _found(key, said, "" if self.is_lean else said.message)
        if not found.is_open and self.is_lean:
            return self._drop_finding(key)
        self.findings[key] = found
        if not found.is_open:
            return self._close(found)
        cluster = self._cluster(found.cluster)
        before = cluster.open.get(key)
        cluster.open[key] = found.kind
        return frozenset({cluster.name} if before != found.kind else ())

    def _drop_finding(self, key: str) -> frozenset[str]:
        found = self.findings.pop(key, None)
        return self._close(found) if found else frozenset()

    def _close(self, found: Finding) -> frozenset[str]:
        cluster = self.clusters.get(found.cluster)
        return self._untold(cluster) if cluster and cluster.open.pop(found.finding_id, None) else frozenset()

    def _verdict(self, key: str, said: facts.Verdict) -> frozenset[str]:
        cluster = self._cluster(said.cluster.name)
        self._verdicts[key] = cluster.name
        before, after = cluster.owners.get(key), _owner(said)
        cluster.owners[key] = after
        return frozenset({cluster.name} if before != after else ())

    def _drop_verdict(self, key: str) -> frozenset[str]:
        cluster = self.clusters.get(self._verdicts.pop(key, ""))
        return self._untold(cluster) if cluster and cluster.owners.pop(key, None) else frozenset()

    def _incident(self, key: str, data: Mapping[str, Any]) -> None:
        if not self.is_lean:
            self.incidents[key] = data
        elif data["state"] == "open":
            self.incidents[key] = {name: each for name, each in data.items() if name != "members"}
        else:
            self.incidents.pop(key, None)


def folded(latest: Latest) -> Fleet:
    """Return the fleet that the newest facts tell of."""
    fleet = Fleet()
    for topic in (*TOPICS, *RECENT):
        fleet.take_all(latest.changes(topic))
    return fleet


def _found(key: str, said: facts.Finding, message: str) -> Finding:
    return Finding(
        finding_id=key,
        revision=said.revision,
        cluster=said.cluster.name,
        kind=said.kind,
        is_open=said.state == "open",
        about=_ref(said.object),
        owned_by=_ref(said.owner) if said.owner else None,
        message=message,
        opened_ms=to_ms(said.times.opened_at),
        closed_ms=_ms(said.times.closed_at),
        closed_because=said.closed_because,
        is_proven=said.certainty == "proven",
        desired=said.desired.revision if said.desired else None,
    )


def _owner(said: facts.Verdict) -> Owner:
    return Owner(
        name=str(_ref(said.owner)),
        verdict=said.verdict,
        reasons=said.reasons,
        applied=said.applied_revision,
        artifact=said.artifact_revision,
        ready=said.ready,
        is_suspended=said.suspended,
    )


def _command(said: facts.Command) -> Command:
    return Command(
        command_id=said.command_id,
        cluster=said.cluster.name,
        verb=said.verb,
        target=str(_ref(said.target)),
        finding_ids=said.finding_ids,
        reason=said.reason,
        issued_ms=to_ms(said.issued_at),
        expires_ms=to_ms(said.expires_at),
    )


def _ended(said: facts.Outcome, append_ms: int) -> Ended:
    at_ms = to_ms(said.finished_at) if said.finished_at else append_ms
    return Ended(said.result, at_ms, tuple(each.message for each in said.reasons))


def _breaker(said: facts.Breaker) -> Breaker:
    codes = tuple(each.code for each in said.reasons)
    return Breaker(said.open, said.frozen_by, codes, tuple(each.message for each in said.reasons), to_ms(said.since))


def _ref(said: facts.Object) -> Ref:
    return Ref(said.kind, said.namespace or "", said.name)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _later(known_ms: int | None, said: datetime | None) -> int | None:
    return max((each for each in (known_ms, _ms(said)) if each is not None), default=None)
