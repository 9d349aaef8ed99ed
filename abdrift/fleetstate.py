"""The fleet as it stands, folded from facts as they come: clusters, what is off course in them, why, and what is done.

Pure. What is kept of a fact is the little that every view shows; the whole fact stays in `abdrift.latest.Latest`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from abdrift.clock import parse_rfc3339_ms
from abdrift.latest import Change, Latest, Since
from abdrift.observed import named
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
STATUSES: Final = ("healthy", "degraded", "failing", "unknown")
PLACES: Final = ("site", "region", "environment")
"""The labels by which clusters are grouped."""
STALE_AFTER_MS: Final = 5 * 60_000
"""Every cluster that is heard of is told anew each minute; if none was for so long, nobody tells any more."""

_RECENT: Final = frozenset(topic.name for topic in RECENT)
_CLUSTER_HEALTH: Final = "cluster/"
_ENDLESS: Final = frozenset({"accepted"})
"""Outcomes after which another one comes."""


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
class Cluster:
    """One cluster. Times are milliseconds since the epoch, None until known."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    declared: bool = False
    kubernetes_version: str | None = None
    git_sources: tuple[tuple[str, str], ...] = ()
    """URL and ref of each remote that it follows."""
    status: str = "unknown"
    """`unknown` until a health fact says otherwise."""
    since_ms: int | None = None
    reasons: tuple[str, ...] = ()
    is_silent: bool = False
    """Its agent's heartbeats stay away, or there never was one."""
    last_seen_ms: int | None = None
    """The newest heartbeat that a fact tells of."""
    as_of_ms: int | None = None
    """The oldest of what its health rests on."""
    is_complete: bool = False
    open: dict[str, str] = field(default_factory=dict)
    """Kind of each open finding, by its id."""
    owners: dict[str, "Owner"] = field(default_factory=dict)
    """By verdict id."""

    @property
    def is_known(self) -> bool:
        """Whether an inventory or health fact tells of it, rather than only a finding."""
        return bool(self.labels or self.declared or self.since_ms or self.last_seen_ms)

    @property
    def is_drifted(self) -> bool:
        """Whether anything is off course. An alert alone is no drift."""
        return any(kind != "alert" for kind in self.open.values())

    def place(self, label: str) -> str:
        """Return the site, region or environment; empty where it has none."""
        return self.labels.get(label, "")


@dataclass(frozen=True, slots=True)
class Owner:
    """A Kustomization or HelmRelease, and what is known of its objects."""

    name: str
    """Kind namespace/name."""
    verdict: str
    reasons: tuple[str, ...]
    applied: str | None
    artifact: str | None
    ready: bool | None
    is_suspended: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One drift, in short."""

    finding_id: str
    revision: int
    cluster: str
    kind: str
    is_open: bool
    object: str
    """Kind namespace/name."""
    owner: str | None
    message: str
    opened_ms: int
    closed_ms: int | None
    closed_because: str | None
    is_proven: bool
    desired: str | None
    """The revision it should be at, for behind and failing."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of late and the newest outcome of it."""

    command_id: str
    cluster: str
    verb: str
    target: str
    finding_ids: tuple[str, ...]
    reason: str
    issued_ms: int
    expires_ms: int

    def is_in_flight(self, result: str | None, now_ms: int) -> bool:
        """Whether it may still be carried out, given its newest outcome."""
        return now_ms < self.expires_ms if result is None else result in _ENDLESS


@dataclass(frozen=True, slots=True)
class Ended:
    """The newest outcome of a command."""

    result: str
    at_ms: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether the governor may act."""

    is_open: bool
    frozen_by: str | None
    reasons: tuple[str, ...]
    since_ms: int


@dataclass(slots=True)
class Fleet:
    """Takes changes in as they come; what it holds is for reading only."""

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
        if change.value is None:
            return self._forget(change.topic, change.key)
        event = change.event()
        try:
            touched = self._absorb(change, event["data"]) if event else None
        except (KeyError, TypeError, ValueError, AttributeError):
            touched = None
        if touched is None:
            self.unreadable += 1
            return frozenset()
        if change.topic in _OF_CLUSTERS:
            self.newest_ms = max(self.newest_ms, change.append_ms)
        return touched

    def take_all(self, changes: Iterable[Change]) -> frozenset[str]:
        """Take changes in, in order; return the names of the clusters that look different now."""
        return frozenset().union(*map(self.take, changes))

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
        flying = [
            each
            for key, each in self.commands.items()
            if each.is_in_flight(ended[key].result if key in ended else None, now_ms)
        ]
        return sorted(flying, key=lambda each: each.issued_ms)

    def results(self, since_ms: int) -> dict[str, int]:
        """Return how many commands ended each way since then, most first."""
        ended = [each for each in self.outcomes.values() if each.at_ms >= since_ms and each.result not in _ENDLESS]
        return dict(Counter(each.result for each in ended).most_common())

    def is_stale(self, now_ms: int) -> bool:
        """Whether facts about clusters have stopped coming: what is known of all of them is then old."""
        return now_ms - self.newest_ms > STALE_AFTER_MS

    def _absorb(self, change: Change, data: Mapping[str, Any]) -> frozenset[str]:
        topic, key = change.topic, change.key
        if topic == FLEET_INVENTORY.name:
            return self._inventory(data)
        if topic == FLEET_HEALTH.name:
            return self._health(data) if data["scope"] == "cluster" else frozenset()
        if topic == FLEET_DRIFT.name:
            return self._verdict(key, data) if "verdict_id" in data else self._finding(key, data)
        if topic == FLEET_INCIDENTS.name:
            _ = data["state"], data["blast_radius"]["clusters"], data["opened_at"], data["changed_at"]
            self.incidents[key] = data
        elif topic == FLEET_COMMANDS.name:
            self.commands[key] = _command(data)
        elif topic == FLEET_OUTCOMES.name:
            self.outcomes[key] = _ended(data, change.append_ms)
        elif topic == FLEET_DECISIONS.name and key == GOVERNOR:
            self.breaker = _breaker(data)
        return frozenset()

    def _forget(self, topic: str, key: str) -> frozenset[str]:
        if topic == FLEET_INVENTORY.name:
            return frozenset({key} if self.clusters.pop(key, None) else ())
        if topic == FLEET_HEALTH.name:
            return self._unknown(key.removeprefix(_CLUSTER_HEALTH))
        if topic == FLEET_DRIFT.name:
            return self._drop_finding(key) | self._drop_verdict(key)
        self.incidents.pop(key, None)
        return frozenset()

    def _cluster(self, name: str) -> Cluster:
        found = self.clusters.get(name)
        if found is None:
            found = self.clusters[name] = Cluster(name)
        return found

    def _inventory(self, data: Mapping[str, Any]) -> frozenset[str]:
        cluster = self._cluster(data["cluster"]["name"])
        before = (cluster.labels, cluster.declared)
        cluster.labels = dict(data.get("labels", {}))
        cluster.declared = bool(data.get("declared"))
        cluster.kubernetes_version = data.get("kubernetes_version")
        cluster.git_sources = tuple((each["url"], each["ref"]) for each in data.get("git_sources", ()))
        cluster.last_seen_ms = _later(cluster.last_seen_ms, parse_rfc3339_ms(data.get("last_seen")))
        return frozenset({cluster.name} if before != (cluster.labels, cluster.declared) else ())

    def _health(self, data: Mapping[str, Any]) -> frozenset[str]:
        cluster = self._cluster(data["cluster"]["name"])
        before = (cluster.status, cluster.reasons)
        cluster.status = data["status"] if data["status"] in STATUSES else "unknown"
        cluster.since_ms = parse_rfc3339_ms(data["since"])
        told = data.get("reasons", ())
        cluster.reasons = tuple(each["message"] for each in told)
        cluster.is_silent = not data.get("last_seen") or any(each["code"] == "Silent" for each in told)
        cluster.last_seen_ms = _later(cluster.last_seen_ms, parse_rfc3339_ms(data.get("last_seen")))
        cluster.as_of_ms = parse_rfc3339_ms(data["evidence"].get("as_of"))
        cluster.is_complete = bool(data["evidence"]["complete"])
        return frozenset({cluster.name} if before != (cluster.status, cluster.reasons) else ())

    def _unknown(self, name: str) -> frozenset[str]:
        """Take in that nobody tells of a cluster's health any more."""
        cluster = self.clusters.get(name)
        if cluster is None:
            return frozenset()
        cluster.status, cluster.reasons, cluster.since_ms = "unknown", (), None
        cluster.as_of_ms, cluster.is_complete, cluster.is_silent = None, False, True
        return frozenset({name})

    def _finding(self, key: str, data: Mapping[str, Any]) -> frozenset[str]:
        found, known = _found(key, data), self.findings.get(key)
        if known is not None and known.revision > found.revision:
            return frozenset()  # after a crash a step may say again what it had said before
        self.findings[key] = found
        cluster = self._cluster(found.cluster)
        before = cluster.open.get(key)
        if found.is_open:
            cluster.open[key] = found.kind
        else:
            cluster.open.pop(key, None)
        return frozenset({cluster.name} if before != cluster.open.get(key) else ())

    def _drop_finding(self, key: str) -> frozenset[str]:
        found = self.findings.pop(key, None)
        cluster = self.clusters.get(found.cluster) if found else None
        return frozenset({cluster.name} if cluster and cluster.open.pop(key, None) else ())

    def _verdict(self, key: str, data: Mapping[str, Any]) -> frozenset[str]:
        cluster = self._cluster(data["cluster"]["name"])
        self._verdicts[key] = cluster.name
        before, after = cluster.owners.get(key), _owner(data)
        cluster.owners[key] = after
        return frozenset({cluster.name} if before != after else ())

    def _drop_verdict(self, key: str) -> frozenset[str]:
        cluster = self.clusters.get(self._verdicts.pop(key, ""))
        return frozenset({cluster.name} if cluster and cluster.owners.pop(key, None) else ())


_OF_CLUSTERS: Final = frozenset({FLEET_INVENTORY.name, FLEET_HEALTH.name, FLEET_DRIFT.name})


def folded(latest: Latest) -> Fleet:
    """Return the fleet that the newest facts tell of."""
    fleet = Fleet()
    for topic in (*TOPICS, *RECENT):
        fleet.take_all(latest.changes(topic))
    return fleet


def _found(key: str, data: Mapping[str, Any]) -> Finding:
    times = data["times"]
    desired, owner = data.get("desired"), data.get("owner")
    return Finding(
        finding_id=key,
        revision=data["revision"],
        cluster=data["cluster"]["name"],
        kind=data["kind"],
        is_open=data["state"] == "open",
        object=named(data["object"]),
        owner=named(owner) if owner else None,
        message=str(data["message"]),
        opened_ms=_required_ms(times["opened_at"]),
        closed_ms=parse_rfc3339_ms(times.get("closed_at")),
        closed_because=data.get("closed_because"),
        is_proven=data.get("certainty", "proven") == "proven",
        desired=desired["revision"] if desired else None,
    )


def _owner(data: Mapping[str, Any]) -> Owner:
    return Owner(
        name=named(data["owner"]),
        verdict=data["verdict"],
        reasons=tuple(data.get("reasons", ())),
        applied=data.get("applied_revision"),
        artifact=data.get("artifact_revision"),
        ready=data.get("ready"),
        is_suspended=bool(data.get("suspended")),
    )


def _command(data: Mapping[str, Any]) -> Command:
    return Command(
        command_id=data["command_id"],
        cluster=data["cluster"]["name"],
        verb=data["verb"],
        target=named(data["target"]),
        finding_ids=tuple(data["finding_ids"]),
        reason=data["reason"],
        issued_ms=_required_ms(data["issued_at"]),
        expires_ms=_required_ms(data["expires_at"]),
    )


def _ended(data: Mapping[str, Any], append_ms: int) -> Ended:
    at_ms = parse_rfc3339_ms(data.get("finished_at")) or append_ms
    return Ended(data["result"], at_ms, tuple(each["message"] for each in data.get("reasons", ())))


def _breaker(data: Mapping[str, Any]) -> Breaker:
    reasons = tuple(each["message"] for each in data.get("reasons", ()))
    return Breaker(bool(data["open"]), data.get("frozen_by"), reasons, _required_ms(data["since"]))


def _required_ms(text: object) -> int:
    found = parse_rfc3339_ms(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return found


def _later(one: int | None, other: int | None) -> int | None:
    known = [each for each in (one, other) if each is not None]
    return max(known, default=None)
