"""Facts as their writers would tell them: one builder for each kind, for all tests that show a fleet.

Each takes the moment that it is told at, and whatever is to be otherwise than here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from abdrift import topics
from abdrift.clock import to_ms
from abdrift.facts.base import ClusterRef, Evidence, ObjectRef, SourceEvidence
from abdrift.facts.commands import (
    BreakerState,
    Command,
    Decision,
    DecisionReason,
    DecisionResult,
    Outcome,
    OutcomeResult,
    Verb,
)
from abdrift.facts.dead_letter import DeadLetter
from abdrift.facts.drift import (
    DriftKind,
    FieldChange,
    FieldManager,
    Finding,
    FindingState,
    GitCommit,
    OwnerVerdict,
    Times,
    Verdict,
)
from abdrift.facts.governance import Approval, Policy
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus
from abdrift.facts.incidents import (
    BlastRadius,
    CauseKind,
    Incident,
    IncidentCause,
    IncidentMember,
    IncidentState,
    Severity,
    Symptom,
)
from abdrift.facts.inventory import ClusterInventory
from abdrift.latest import Change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from abdrift.cloudevents import CloudEvent
    from abdrift.topics import FactType, Topic

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
REVISION = "main@sha1:9f3c2b7d41e8a05566c7d9e0f1a2b3c4d5e6f708"
URL = "https://git.example/fleet.git"
COMMIT = GitCommit(
    revision=REVISION,
    author="Jo Fremd",
    message="cart: take the image from the new registry",
    time=NOW - timedelta(minutes=9),
)
_TYPES: Mapping[type[BaseModel], tuple[Topic, FactType]] = {
    fact.model: (topic, fact) for topic in topics.TOPICS if topic.public for fact in topic.facts
}
_KEYS: Mapping[type[BaseModel], str] = {
    Health: "resource_id",
    Finding: "finding_id",
    OwnerVerdict: "verdict_id",
    Incident: "incident_id",
    Command: "command_id",
    Decision: "decision_id",
    Outcome: "command_id",
    Policy: "name",
    Approval: "subject_id",
    DeadLetter: "topic",
}


@dataclass(frozen=True)
class Said:
    """A fact on its way to a topic; `event` None takes what was said of the key back."""

    topic: Topic
    key: str
    event: CloudEvent | None
    cluster: str | None

    def change(self, append_ms: int = 0) -> Change:
        """Return what a reader makes of it."""
        value = self.event.encode() if self.event else None
        return Change(self.topic.name, self.key, value, append_ms or to_ms(NOW))


def said(fact: BaseModel, at: datetime = NOW) -> Said:
    """Return a fact on its way to its topic."""
    (topic, kind), key = _TYPES[type(fact)], key_of(fact)
    named = getattr(fact, "cluster", None)
    cluster = named.name if isinstance(named, ClusterRef) else named
    event = kind.event(key, fact, event_id=f"{key}-{at.isoformat()}", source="/tests", at=at, cluster=cluster)
    return Said(topic, key, event, cluster)


def key_of(fact: BaseModel) -> str:
    """Return the key that a fact has in its topic."""
    match fact:
        case ClusterInventory():
            return fact.cluster.name
        case BreakerState():
            return "governor"
        case _:
            return str(getattr(fact, _KEYS[type(fact)]))


def ref(cluster: str) -> ClusterRef:
    return ClusterRef(name=cluster, uid=f"uid-{cluster}")


def deployment(name: str, namespace: str = "shop") -> ObjectRef:
    return ObjectRef(group="apps", version="v1", kind="Deployment", namespace=namespace, name=name)


def kustomization(name: str) -> ObjectRef:
    return ObjectRef(
        group="kustomize.toolkit.fluxcd.io", version="v1", kind="Kustomization", namespace="flux-system", name=name
    )


def evidence(cluster: str, at: datetime = NOW, *, complete: bool = True) -> Evidence:
    source = SourceEvidence(source=f"kubernetes/{cluster}", as_of=at, complete=complete)
    return Evidence(as_of=at, complete=complete, sources=(source,))


def inventory(cluster: str, labels: Mapping[str, str], /, at: datetime = NOW, **given: Any) -> ClusterInventory:
    values = {
        "cluster": ref(cluster),
        "labels": labels,
        "declared": True,
        "first_seen": at - timedelta(days=40),
        "last_seen": at,
        "evidence": evidence(cluster, at),
    }
    return ClusterInventory(**(values | given))


def health(cluster: str, status: str = "healthy", /, at: datetime = NOW, *, why: str = "", **given: Any) -> Health:
    """A cluster's health; an unknown one was last heard of 21 minutes ago."""
    state = HealthStatus(status)
    is_known = state is not HealthStatus.UNKNOWN
    reasons = (HealthReason(code="NotReady", message=why, status=state, since=at, source="condition"),) if why else ()
    values = {
        "resource_id": f"cluster/{cluster}",
        "revision": 1,
        "scope": HealthScope.CLUSTER,
        "cluster": ref(cluster),
        "name": cluster,
        "status": state,
        "score": {"healthy": 100, "degraded": 50}.get(status, 0),
        "reasons": reasons,
        "since": at - timedelta(minutes=7),
        "last_seen": at - timedelta(seconds=4) if is_known else at - timedelta(minutes=21),
        "evidence": evidence(cluster, at, complete=is_known),
    }
    return Health(**(values | given))


def changed(
    path: str, old: Any, new: Any, at: datetime = NOW, *, op: str = "replace", manager: str = "kubectl-edit"
) -> FieldChange:
    """A field that somebody changed by hand."""
    return FieldChange(
        path=path, op=op, old=old, new=new, by=FieldManager(manager=manager, operation="Update", time=at)
    )


def finding(cluster: str, finding_id: str, /, at: datetime = NOW, **given: Any) -> Finding:
    """A hand edit of a Deployment."""
    values = {
        "finding_id": finding_id,
        "revision": 1,
        "state": FindingState.OPEN,
        "kind": DriftKind.CHANGED,
        "cluster": ref(cluster),
        "object": deployment("web"),
        "owner": kustomization("apps"),
        "message": "Deployment shop/web: /spec/replicas is 5, not 3",
        "fields": (changed("/spec/replicas", 3, 5, at),),
        "managers": ("kubectl-edit",),
        "times": Times(changed_at=at, opened_at=at),
        "evidence": evidence(cluster, at),
    }
    return Finding(**(values | given))


def verdict(cluster: str, word: Verdict = Verdict.IN_SYNC, /, at: datetime = NOW, **given: Any) -> OwnerVerdict:
    owner = given.get("owner", kustomization("apps"))
    values = {
        "verdict_id": f"verdict-{cluster}-{owner.name}",
        "revision": 1,
        "cluster": ref(cluster),
        "owner": owner,
        "verdict": word,
        "evidence": evidence(cluster, at),
    }
    return OwnerVerdict(**(values | given))


def member(cluster: str, /, at: datetime = NOW, **given: Any) -> IncidentMember:
    values = {
        "cluster": ref(cluster),
        "object": kustomization("apps"),
        "symptom": Symptom.FAILING,
        "message": "cannot apply",
        "since": at,
    }
    return IncidentMember(**(values | given))


def incident(sites: Mapping[str, str], at: datetime = NOW, *, commit: GitCommit = COMMIT, **given: Any) -> Incident:
    """One bad revision, at a moment seen first; `sites` are those of its clusters, by their names."""
    told = tuple(member(name, at, labels={"site": site}) for name, site in sites.items())
    is_open = given.get("state", "open") == "open"
    values = {
        "incident_id": "i1",
        "revision": 1,
        "state": IncidentState.OPEN,
        "severity": Severity.CRITICAL,
        "cause": IncidentCause(kind=CauseKind.GIT_REVISION, name=commit.revision, source=URL, commit=commit),
        "title": f"{commit.revision} fails in {len(sites)} clusters",
        "blast_radius": BlastRadius(
            clusters=len(sites) if is_open else 0,
            clusters_ever=len(sites),
            objects=len(sites),
            clusters_by_site=Counter(sites.values()) if is_open else {},
        ),
        "members": told,
        "first": told[0],
        "opened_at": at,
        "changed_at": at,
        "evidence": evidence(next(iter(sites)), at),
    }
    return Incident(**(values | given))


def command(cluster: str, command_id: str, /, at: datetime = NOW, **given: Any) -> Command:
    values = {
        "command_id": command_id,
        "verb": Verb.RECONCILE,
        "cluster": ref(cluster),
        "target": kustomization("apps"),
        "finding_ids": ("f1",),
        "reason": "drift",
        "policy": "default@3",
        "issued_at": at,
        "expires_at": at + timedelta(minutes=5),
        "fencing": 7,
    }
    return Command(**(values | given))


def outcome(order: Command, result: OutcomeResult, /, *, took_seconds: float = 4, **given: Any) -> Outcome:
    """What came of a command; but for `accepted` it ended after so many seconds."""
    at = order.issued_at + timedelta(seconds=took_seconds)
    ends = {} if result == OutcomeResult.ACCEPTED else {"finished_at": at}
    if result == OutcomeResult.CORRECTED:
        ends["corrected_at"] = at
    values = {
        "command_id": order.command_id,
        "revision": 1 if result == OutcomeResult.ACCEPTED else 2,
        "cluster": order.cluster,
        "verb": order.verb,
        "target": order.target,
        "finding_ids": order.finding_ids,
        "result": result,
        "issued_at": order.issued_at,
        "received_at": order.issued_at + timedelta(milliseconds=40),
        **ends,
    }
    return Outcome(**(values | given))


def decision(decision_id: str, result: DecisionResult, /, *codes: str, at: datetime = NOW, **given: Any) -> Decision:
    values = {
        "decision_id": decision_id,
        "finding_ids": ("f1",),
        "result": result,
        "reasons": tuple(DecisionReason(code=code, message="so") for code in codes),
        "decided_at": at,
    }
    return Decision(**(values | given))


def breaker(*codes: str, at: datetime = NOW, **given: Any) -> BreakerState:
    """The breaker; open where there is a reason."""
    reasons = tuple(DecisionReason(code=code, message="so") for code in codes)
    return BreakerState(**({"revision": 1, "open": bool(codes), "reasons": reasons, "since": at} | given))


def dead_letter(refused_by: str, reason: str, at: datetime = NOW) -> DeadLetter:
    return DeadLetter(topic="t", reason=reason, message="so", refused_by=refused_by, refused_at=at)
