"""A small fleet as facts: what its topics would say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Evidence, ObjectRef
from abdrift.facts.commands import BreakerState, Command, Decision, DecisionReason, Outcome
from abdrift.facts.dead_letter import DeadLetter
from abdrift.facts.drift import Finding, GitCommit, OwnerVerdict, Times
from abdrift.facts.health import Health, HealthReason
from abdrift.facts.incidents import BlastRadius, Incident, IncidentCause, IncidentMember
from abdrift.facts.inventory import ClusterInventory
from abdrift.latest import Change
from abdrift.topics import (
    BREAKER,
    COMMAND,
    DEAD_LETTER,
    DEAD_LETTERS,
    DECISION,
    FINDING,
    FLEET_COMMANDS,
    FLEET_DECISIONS,
    FLEET_DRIFT,
    FLEET_HEALTH,
    FLEET_INCIDENTS,
    FLEET_INVENTORY,
    FLEET_OUTCOMES,
    HEALTH,
    INCIDENT,
    INVENTORY,
    OUTCOME,
    VERDICT,
    FactType,
    Topic,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

NOW_MS = 1_795_000_000_000
OWNER = ObjectRef(
    group="kustomize.toolkit.fluxcd.io", version="v1", kind="Kustomization", namespace="flux", name="apps"
)
WEB = ObjectRef(group="apps", kind="Deployment", namespace="shop", name="web")


@dataclass(frozen=True)
class Fleet:
    """Makes facts of a moment, in milliseconds since the epoch."""

    now_ms: int = NOW_MS

    def ago(self, seconds: float) -> Any:
        return to_datetime(self.now_ms) - timedelta(seconds=seconds)

    def change(self, topic: Topic, fact: FactType, key: str, data: BaseModel, cluster: str | None = None) -> Change:
        event = fact.event(key, data, event_id=key, source="/tests", at=to_datetime(self.now_ms), cluster=cluster)
        return Change(topic.name, key, event.encode(), self.now_ms)

    def gone(self, topic: Topic, key: str) -> Change:
        return Change(topic.name, key, None, self.now_ms)

    def health(self, name: str, status: str, *, age_seconds: float = 5, reason: str = "NotReady") -> Change:
        why = () if status == "healthy" else (HealthReason(code=reason, message="so", status=status),)
        health = Health(
            resource_id=f"cluster/{name}",
            revision=1,
            scope="cluster",
            cluster=ClusterRef(name=name),
            name=name,
            status=status,
            score=50,
            reasons=why,
            since=self.ago(60),
            evidence=Evidence(as_of=self.ago(age_seconds), complete=status != "unknown"),
        )
        return self.change(FLEET_HEALTH, HEALTH, health.resource_id, health, name)

    def inventory(self, name: str, **labels: str) -> Change:
        seen = Evidence(as_of=self.ago(1), complete=True)
        told = ClusterInventory(cluster=ClusterRef(name=name), labels=labels, first_seen=self.ago(60), evidence=seen)
        return self.change(FLEET_INVENTORY, INVENTORY, name, told, name)

    def finding(
        self, finding_id: str, cluster: str, kind: str, *, age_seconds: float = 30, state: str = "open"
    ) -> Change:
        finding = Finding(
            finding_id=finding_id,
            revision=1,
            state=state,
            kind=kind,
            cluster=ClusterRef(name=cluster),
            object=WEB,
            owner=OWNER,
            message="replicas",
            times=Times(opened_at=self.ago(age_seconds)),
            evidence=Evidence(as_of=self.ago(1), complete=True),
        )
        return self.change(FLEET_DRIFT, FINDING, finding_id, finding, cluster)

    def verdict(self, cluster: str, verdict: str) -> Change:
        said = OwnerVerdict(
            verdict_id=f"v/{cluster}",
            revision=1,
            cluster=ClusterRef(name=cluster),
            owner=OWNER,
            verdict=verdict,
            since=self.ago(60),
            evidence=Evidence(as_of=self.ago(1), complete=True),
        )
        return self.change(FLEET_DRIFT, VERDICT, said.verdict_id, said, cluster)

    def incident(self, incident_id: str, clusters: int, *, state: str = "open") -> Change:
        member = IncidentMember(
            cluster=ClusterRef(name="edge-1"), symptom="failing", message="fails", since=self.ago(60)
        )
        commit = GitCommit(revision="main@sha1:bad", author="Ada <ada@example.org>", message='say "no" to limits')
        incident = Incident(
            incident_id=incident_id,
            revision=1,
            state=state,
            severity="critical",
            cause=IncidentCause(kind="git-revision", name=commit.revision, source="https://git/fleet", commit=commit),
            title="one bad revision",
            blast_radius=BlastRadius(
                clusters=clusters,
                clusters_ever=clusters,
                objects=2 * clusters,
                clusters_by_site={"berlin": clusters},
                clusters_by_environment={"prd": clusters},
            ),
            first=member,
            opened_at=self.ago(60),
            changed_at=self.ago(1),
            evidence=Evidence(as_of=self.ago(1), complete=True),
        )
        return self.change(FLEET_INCIDENTS, INCIDENT, incident_id, incident)

    def command(self, command_id: str, cluster: str) -> Change:
        command = Command(
            command_id=command_id,
            verb="reconcile",
            cluster=ClusterRef(name=cluster),
            target=OWNER,
            finding_ids=("f",),
            reason="drift",
            policy="p@1",
            issued_at=self.ago(9),
            expires_at=self.ago(-300),
            fencing=1,
        )
        return self.change(FLEET_COMMANDS, COMMAND, command_id, command, cluster)

    def outcome(self, command_id: str, cluster: str, result: str) -> Change:
        outcome = Outcome(
            command_id=command_id,
            revision=2,
            cluster=ClusterRef(name=cluster),
            verb="reconcile",
            result=result,
            issued_at=self.ago(9),
            corrected_at=self.ago(2),
        )
        return self.change(FLEET_OUTCOMES, OUTCOME, command_id, outcome, cluster)

    def decision(self, result: str, code: str) -> Change:
        decision = Decision(
            decision_id=f"d/{code}",
            finding_ids=("f",),
            result=result,
            reasons=(DecisionReason(code=code, message="so"),),
            decided_at=self.ago(1),
        )
        return self.change(FLEET_DECISIONS, DECISION, decision.decision_id, decision)

    def breaker(self, *codes: str) -> Change:
        reasons = tuple(DecisionReason(code=code, message="so") for code in codes)
        state = BreakerState(revision=1, open=bool(codes), reasons=reasons, since=self.ago(30))
        return self.change(FLEET_DECISIONS, BREAKER, "governor", state)

    def dead_letter(self, refused_by: str, reason: str) -> Change:
        letter = DeadLetter(topic="t", reason=reason, message="so", refused_by=refused_by, refused_at=self.ago(1))
        return self.change(DEAD_LETTERS, DEAD_LETTER, "t", letter)

    def story(self) -> list[Change]:
        """Return a fleet in which something of everything happened."""
        return [
            self.inventory("edge-1", site="berlin", region="eu", environment="prd", latitude="52.5", longitude="13.4"),
            self.inventory("edge-2", site="berlin", region="eu", environment="prd", latitude="52.5", longitude="13.4"),
            self.inventory("edge-3", site="porto", region="eu", environment="tst", latitude="41.1", longitude="-8.6"),
            self.health("edge-1", "failing"),
            self.health("edge-2", "healthy"),
            self.health("edge-3", "unknown", age_seconds=600, reason="Silent"),
            self.finding("f1", "edge-1", "changed"),
            self.finding("f2", "edge-1", "failing", age_seconds=7_200),
            self.finding("f3", "edge-2", "behind", state="closed"),
            self.verdict("edge-1", "drifted"),
            self.incident("i1", 2),
            self.breaker("surge"),
            self.command("c1", "edge-1"),
            self.command("c2", "edge-1"),
            self.outcome("c1", "edge-1", "corrected"),
            self.decision("refused", "held"),
            self.dead_letter("streams.drift", "bad-row"),
        ]
