"""One bad revision as every kind of fact tells of it: what the sink writes in tests, and what dashboards must show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from abdrift import topics
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
from abdrift.facts.governance import Approval, ApprovalAction, Policy
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus, MemberCounts
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from abdrift.cloudevents import CloudEvent
    from abdrift.topics import FactType

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REVISION = "main@sha1:9f2c1e0d5b7a4f66a1c3e8d2b4f60718293a4b5c"
COMMIT = GitCommit(revision=REVISION, author="mira@example.org", message="Raise the memory limit", time=NOW)
CLUSTER = "edge-0042"
OWNER = ObjectRef(
    group="kustomize.toolkit.fluxcd.io", version="v1", kind="Kustomization", namespace="flux-system", name="apps"
)
WEB = ObjectRef(group="apps", version="v1", kind="Deployment", namespace="shop", name="web", uid="u-1")
EVIDENCE = Evidence(
    as_of=NOW - timedelta(seconds=3),
    complete=True,
    sources=(SourceEvidence(source=f"kubernetes/{CLUSTER}", as_of=NOW, complete=True),),
)
CHANGE = FieldChange(
    path="/spec/replicas",
    op="replace",
    old=3,
    new=5,
    by=FieldManager(manager="kubectl-edit", operation="Update", time=NOW),
)


def ref(name: str = CLUSTER) -> ClusterRef:
    return ClusterRef(name=name, uid=f"uid-{name}")


def finding(name: str = "f1", **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "finding_id": name,
        "revision": 1,
        "state": FindingState.OPEN,
        "kind": DriftKind.CHANGED,
        "cluster": ref(),
        "object": WEB,
        "owner": OWNER,
        "message": "Deployment shop/web: /spec/replicas is 5, not 3",
        "fields": (CHANGE,),
        "managers": ("kubectl-edit",),
        "times": Times(changed_at=NOW, opened_at=NOW),
        "applied_revision": REVISION,
        "evidence": EVIDENCE,
    }
    return Finding(**(values | changes))


def health(scope: HealthScope, name: str, status: HealthStatus, **changes: Any) -> Health:
    values: dict[str, Any] = {
        "resource_id": f"{scope}/{name}",
        "revision": 2,
        "scope": scope,
        "name": name,
        "status": status,
        "score": 20,
        "reasons": (HealthReason(code="ProgressDeadlineExceeded", message="web does not roll out", status=status),),
        "since": NOW,
        "evidence": EVIDENCE,
    }
    return Health(**(values | changes))


def incident(state: IncidentState, **changes: Any) -> Incident:
    member = IncidentMember(
        cluster=ref(),
        labels={"site": "zrh"},
        object=OWNER,
        symptom=Symptom.FAILING,
        finding_ids=("f2",),
        message="cannot apply",
        since=NOW,
    )
    values: dict[str, Any] = {
        "incident_id": "i1",
        "revision": 1,
        "state": state,
        "cause": IncidentCause(
            kind=CauseKind.GIT_REVISION, name=REVISION, source="https://git.example/fleet.git", commit=COMMIT
        ),
        "title": f"{REVISION} fails in 1 cluster",
        "blast_radius": BlastRadius(clusters=1, clusters_ever=1, objects=1),
        "members": (member,),
        "first": member,
        "severity": Severity.CRITICAL,
        "opened_at": NOW,
        "changed_at": NOW,
        "evidence": EVIDENCE,
    }
    return Incident(**(values | changes))


def told() -> Iterator[tuple[FactType, str, BaseModel, str | None]]:
    """Yield each fact's type, key, data and cluster, in the order in which they happened."""
    why = (DecisionReason(code="within-budget", message="one of twelve an hour"),)
    labels = {"site": "zrh", "region": "eu", "environment": "prd"}
    yield (
        topics.INVENTORY,
        CLUSTER,
        ClusterInventory(cluster=ref(), labels=labels, declared=True, first_seen=NOW, evidence=EVIDENCE),
        CLUSTER,
    )
    yield topics.POLICY, "default", Policy(revision=3, applied_by="ops@example.org", applied_at=NOW), None
    yield topics.FINDING, "f1", finding(), CLUSTER
    failing = {"kind": DriftKind.FAILING, "object": OWNER, "fields": (), "desired": COMMIT, "message": "cannot apply"}
    yield topics.FINDING, "f2", finding("f2", **failing), CLUSTER
    yield topics.FINDING, "f3", finding("f3", object=WEB.model_copy(update={"name": "api"})), CLUSTER
    yield (
        topics.VERDICT,
        "v1",
        OwnerVerdict(
            verdict_id="v1",
            revision=2,
            cluster=ref(),
            owner=OWNER,
            verdict=Verdict.DRIFTED,
            open_findings=2,
            applied_revision=REVISION,
            evidence=EVIDENCE,
        ),
        CLUSTER,
    )
    web = health(HealthScope.WORKLOAD, "web", HealthStatus.FAILING, cluster=ref(), object=WEB)
    yield topics.HEALTH, web.resource_id, web, CLUSTER
    whole = health(HealthScope.CLUSTER, CLUSTER, HealthStatus.FAILING, cluster=ref(), members=MemberCounts(failing=1))
    yield topics.HEALTH, whole.resource_id, whole, CLUSTER
    yield topics.INCIDENT, "i1", incident(IncidentState.OPEN), None
    decision = {"decision_id": "d1", "cluster": ref(), "owner": OWNER, "finding_ids": ("f1",), "decided_at": NOW}
    yield (
        topics.DECISION,
        "d1",
        Decision(**decision, result=DecisionResult.COMMANDED, verb=Verb.RECONCILE, reasons=why, command_id="c1"),
        CLUSTER,
    )
    refused = decision | {"decision_id": "d2", "finding_ids": ("f2",)}
    held = (DecisionReason(code="held", message="held until noon"),)
    yield topics.DECISION, "d2", Decision(**refused, result=DecisionResult.REFUSED, reasons=held), CLUSTER
    yield topics.BREAKER, "governor", BreakerState(revision=1, open=False, since=NOW, commands_in_flight=1), None
    word = {"approval_id": "a1", "action": ApprovalAction.HOLD, "subject_id": "f2", "cluster": CLUSTER}
    yield (
        topics.APPROVAL,
        "f2",
        Approval(**word, by="ops@example.org", reason="while we look", issued_at=NOW, until=NOW + timedelta(hours=1)),
        CLUSTER,
    )
    order = {"command_id": "c1", "verb": Verb.RECONCILE, "cluster": ref(), "target": OWNER, "finding_ids": ("f1",)}
    yield (
        topics.COMMAND,
        "c1",
        Command(
            **order,
            expected_revision=REVISION,
            reason="drift",
            policy="default@3",
            issued_at=NOW,
            expires_at=NOW + timedelta(minutes=5),
            fencing=7,
        ),
        CLUSTER,
    )
    for revision, result in enumerate((OutcomeResult.ACCEPTED, OutcomeResult.CORRECTED), 1):
        outcome = Outcome(
            **order,
            revision=revision,
            result=result,
            issued_at=NOW,
            finished_at=NOW + timedelta(seconds=4),
            applied_revision=REVISION,
            carried_out_by="gitops/edge-0042",
        )
        yield topics.OUTCOME, "c1", outcome, CLUSTER
    closed = Times(changed_at=NOW, opened_at=NOW, closed_at=NOW + timedelta(seconds=4))
    ended = {"revision": 2, "state": FindingState.CLOSED, "times": closed, "closed_because": "corrected"}
    yield topics.FINDING, "f1", finding(**ended), CLUSTER


def events() -> list[tuple[str, CloudEvent]]:
    """Return the story's facts, each with the noun of its topic, a second apart."""
    nouns = {fact.name: topic.name.split(".")[2] for topic in topics.TOPICS if topic.public for fact in topic.facts}
    return [
        (
            nouns[fact.name],
            fact.event(
                key,
                data,
                event_id=f"{fact.name}/{key}/{number}",
                source="/abdrift/tests",
                at=NOW + timedelta(seconds=number),
                cluster=cluster,
            ),
        )
        for number, (fact, key, data, cluster) in enumerate(told())
    ]
