"""What the fleet topics say, folded into the little that a view or a summary shows. Pure."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from abdrift.clock import parse_rfc3339_ms
from abdrift.cloudevents import CloudEvent
from abdrift.topics import BREAKER, COMMAND, DECISION, FINDING, HEALTH, INCIDENT, OUTCOME, VERDICT

_LINES = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, for a person to read."""

    at: str
    what: str
    """incident, found, closed, commanded, refused, waiting, outcome."""
    cluster: str
    text: str


@dataclass(slots=True)
class Observed:
    """The newest state by subject, and counts since the start."""

    clusters: dict[str, str] = field(default_factory=dict)
    """Cluster name to health status."""
    namespaces: dict[str, Mapping[str, int]] = field(default_factory=dict)
    """How many workloads of each namespace are in each state, by the namespace's resource id."""
    fleet: Mapping[str, Any] = field(default_factory=dict)
    """The newest health fact of the whole fleet."""
    findings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Every finding seen, newest revision, by id."""
    told_ms: dict[str, int] = field(default_factory=dict)
    """When Kafka took the first fact of each finding and of each incident, in milliseconds since the epoch."""
    incidents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Every incident seen, newest revision, by id."""
    opened_with: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each incident the findings that were its symptoms when it was first told of, with their clusters."""
    verdicts: dict[str, str] = field(default_factory=dict)
    """What is known of each GitOps object, by verdict id."""
    commands: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The newest outcome of each command; refusals by sinks are kept under their own subjects."""
    decisions: Counter[str] = field(default_factory=Counter)
    awaiting: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Decisions that wait for a person, by the id of their first finding."""
    decided: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The newest decision about each open finding, by the finding's id."""
    breaker_open: bool = False
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=_LINES))

    def absorb(self, event: CloudEvent, append_ms: int) -> None:
        """Take one fact into account, which Kafka took at a time; a type this does not know changes nothing."""
        data, cluster = event.data, event.cluster or ""
        if event.type == HEALTH.name:
            self._health(data, cluster)
        elif event.type == FINDING.name:
            self.told_ms.setdefault(event.subject, append_ms)
            self._finding(event, data, cluster)
        elif event.type == INCIDENT.name:
            self.told_ms.setdefault(event.subject, append_ms)
            self._incident(event, data)
        elif event.type == VERDICT.name:
            self.verdicts[event.subject] = data["verdict"]
        elif event.type == COMMAND.name:
            self.commands[data["command_id"]] = data
            target = data["target"]
            self._line(event, "commanded", f"{data['verb']} {target['kind']}/{target['name']} for {data['reason']}")
        elif event.type == DECISION.name:
            self._decision(event, data, cluster)
        elif event.type == BREAKER.name:
            self.breaker_open = bool(data["open"])
        elif event.type == OUTCOME.name:
            self._outcome(event, data)

    def _health(self, data: Mapping[str, Any], cluster: str) -> None:
        if data["scope"] == "cluster":
            self.clusters[cluster] = data["status"]
        elif data["scope"] == "namespace":
            self.namespaces[data["resource_id"]] = data["members"]
        elif data["scope"] == "fleet":
            self.fleet = data

    def _finding(self, event: CloudEvent, data: Mapping[str, Any], cluster: str) -> None:
        before = self.findings.get(event.subject)
        if before is not None and before["revision"] >= data["revision"]:
            return
        self.findings[event.subject] = data
        if before is None:
            self._line(event, "found", f"{data['kind']}: {data['message']}")
        elif data["state"] == "closed" and before["state"] != "closed":
            self.awaiting.pop(event.subject, None)
            self.decided.pop(event.subject, None)
            self._line(event, "closed", f"{data['kind']}: {named(data['object'])} {data.get('closed_because', '')}")
        assert cluster == data["cluster"]["name"], "a finding's envelope names its cluster"

    def _incident(self, event: CloudEvent, data: Mapping[str, Any]) -> None:
        before = self.incidents.get(event.subject)
        if before is not None and before["revision"] >= data["revision"]:
            return
        self.incidents[event.subject] = data
        if before is None:
            told = ((each, m["cluster"]["name"]) for m in data["members"] for each in m.get("finding_ids", ()))
            self.opened_with[event.subject] = dict(told)
        if before is None or before["state"] != data["state"]:
            ended = f" ({data['closed_because']})" if data["state"] == "closed" else ""
            self._line(event, "incident", f"{data['title']}{ended}")

    def _decision(self, event: CloudEvent, data: Mapping[str, Any], cluster: str) -> None:
        self.decisions[data["result"]] += 1
        self.decided.update((each, data) for each in data["finding_ids"] if self._is_open(each))
        if data["result"] == "awaiting-approval" and data["finding_ids"]:
            self.awaiting[data["finding_ids"][0]] = data
            self._line(event, "waiting", f"{data.get('verb')} for {cluster} needs an approval")
        elif data["result"] == "refused":
            self._line(event, "refused", "; ".join(reason["message"] for reason in data["reasons"]))

    def _outcome(self, event: CloudEvent, data: Mapping[str, Any]) -> None:
        before = self.outcomes.get(event.subject)
        if before is not None and before["revision"] >= data["revision"]:
            return
        self.outcomes[event.subject] = data
        if data["result"] != "accepted":
            why = "; ".join(reason["message"] for reason in data["reasons"])
            self._line(event, "outcome", f"{data['result']}{': ' + why if why else ''}{_latency(data)}")

    def _line(self, event: CloudEvent, what: str, text: str) -> None:
        self.lines.append(Line(event.time, what, event.cluster or "", text))

    def _is_open(self, finding_id: str) -> bool:
        """Whether a finding is open, as far as is known: a decision may be read before what it is about."""
        return self.findings.get(finding_id, {}).get("state") != "closed"

    @property
    def workloads(self) -> Counter[str]:
        """How many workloads are in each state."""
        counts: Counter[str] = Counter()
        for members in self.namespaces.values():
            counts.update(members)
        return counts

    @property
    def open_findings(self) -> list[Mapping[str, Any]]:
        """Findings that are open now."""
        return [finding for finding in self.findings.values() if finding["state"] == "open"]

    def finding_kinds(self) -> dict[str, int]:
        """How many findings of each kind were seen."""
        return dict(sorted(Counter(finding["kind"] for finding in self.findings.values()).items()))

    def outcome_results(self) -> dict[str, int]:
        """How many commands ended each way; accepted ones are still under way."""
        return dict(sorted(Counter(outcome["result"] for outcome in self.outcomes.values()).items()))


def named(reference: Mapping[str, Any]) -> str:
    """Return an object as people write it: Kind namespace/name."""
    namespace = reference.get("namespace")
    return f"{reference['kind']} {namespace + '/' if namespace else ''}{reference['name']}"


def _latency(outcome: Mapping[str, Any]) -> str:
    began, ended = (parse_rfc3339_ms(outcome.get(name)) for name in ("issued_at", "corrected_at"))
    return f" in {(ended - began) / 1000:.1f} s" if began is not None and ended is not None else ""


def percentiles(values: list[float]) -> dict[str, float | None]:
    """Return p50 and p99 by the nearest-rank method; None where there are no values."""
    ordered = sorted(values)

    def rank(percent: int) -> float | None:
        return round(ordered[max(0, -(-percent * len(ordered) // 100) - 1)], 1) if ordered else None

    return {"p50": rank(50), "p99": rank(99)}
