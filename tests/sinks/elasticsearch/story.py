"""One bad revision as every kind of fact tells of it: what the sink writes in tests, and what dashboards must show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from abdrift.facts.commands import DecisionReason, DecisionResult, OutcomeResult, Verb
from abdrift.facts.drift import DriftKind, Finding, FindingState, GitCommit, Times, Verdict
from abdrift.facts.governance import Approval, ApprovalAction, Policy
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus, MemberCounts
from abdrift.facts.incidents import Incident, IncidentState
from tests import facts
from tests.facts import deployment, kustomization, ref

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from abdrift.cloudevents import CloudEvent
    from abdrift.facts.base import Evidence

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REVISION = "main@sha1:9f2c1e0d5b7a4f66a1c3e8d2b4f60718293a4b5c"
COMMIT = GitCommit(revision=REVISION, author="mira@example.org", message="Raise the memory limit", time=NOW)
CLUSTER = "edge-0042"
SEEN = NOW - timedelta(seconds=3)
OWNER, WEB = kustomization("apps"), deployment("web").model_copy(update={"uid": "u-1"})


def evidence() -> Evidence:
    return facts.evidence(CLUSTER, SEEN)


def finding(name: str = "f1", cluster: str = CLUSTER, **changes: Any) -> Finding:
    values = {"object": WEB, "applied_revision": REVISION, "evidence": evidence()}
    return facts.finding(cluster, name, NOW, **(values | changes))


def health(scope: HealthScope, name: str, status: HealthStatus, **changes: Any) -> Health:
    values = {
        "resource_id": f"{scope}/{name}",
        "revision": 2,
        "scope": scope,
        "name": name,
        "score": 20,
        "reasons": (HealthReason(code="ProgressDeadlineExceeded", message="web does not roll out", status=status),),
        "since": NOW,
        "last_seen": None,
        "evidence": evidence(),
    }
    return facts.health(CLUSTER, status, NOW, **(values | changes))


def incident(state: IncidentState) -> Incident:
    found = {"members": (member := facts.member(CLUSTER, NOW, labels={"site": "zrh"}, finding_ids=("f2",)),)}
    return facts.incident({CLUSTER: "zrh"}, NOW, commit=COMMIT, state=state, first=member, evidence=evidence(), **found)


def told() -> Iterator[BaseModel]:
    """Yield the facts in the order in which they happened."""
    yield facts.inventory(
        CLUSTER,
        {"site": "zrh", "region": "eu", "environment": "prd"},
        NOW,
        first_seen=NOW,
        last_seen=None,
        evidence=evidence(),
    )
    yield Policy(revision=3, applied_by="ops@example.org", applied_at=NOW)
    yield finding()
    yield finding("f2", kind=DriftKind.FAILING, object=OWNER, fields=(), desired=COMMIT, message="cannot apply")
    yield finding("f3", object=deployment("api"))
    seen = {"revision": 2, "open_findings": 2, "applied_revision": REVISION, "evidence": evidence()}
    yield facts.verdict(CLUSTER, Verdict.DRIFTED, NOW, verdict_id="v1", **seen)
    yield health(HealthScope.WORKLOAD, "web", HealthStatus.FAILING, object=WEB)
    yield health(HealthScope.CLUSTER, CLUSTER, HealthStatus.FAILING, members=MemberCounts(failing=1))
    yield incident(IncidentState.OPEN)
    yield from _acted()
    closed = Times(changed_at=NOW, opened_at=NOW, closed_at=NOW + timedelta(seconds=4))
    yield finding(revision=2, state=FindingState.CLOSED, times=closed, closed_because="corrected")


def _acted() -> Iterator[BaseModel]:
    """Yield what was decided, by the governor and by people, and what came of it."""
    about = {"cluster": ref(CLUSTER), "owner": OWNER, "at": NOW}
    why = (DecisionReason(code="within-budget", message="one of twelve an hour"),)
    yield facts.decision("d1", DecisionResult.COMMANDED, **about, reasons=why, verb=Verb.RECONCILE, command_id="c1")
    held = (DecisionReason(code="held", message="held until noon"),)
    yield facts.decision("d2", DecisionResult.REFUSED, **about, reasons=held, finding_ids=("f2",))
    yield facts.breaker(at=NOW, commands_in_flight=1)
    yield Approval(
        approval_id="a1",
        action=ApprovalAction.HOLD,
        subject_id="f2",
        cluster=CLUSTER,
        by="ops@example.org",
        reason="while we look",
        issued_at=NOW,
        until=NOW + timedelta(hours=1),
    )
    order = facts.command(CLUSTER, "c1", NOW, expected_revision=REVISION)
    yield order
    for result in (OutcomeResult.ACCEPTED, OutcomeResult.CORRECTED):
        ended = {"finished_at": NOW + timedelta(seconds=4), "applied_revision": REVISION}
        yield facts.outcome(order, result, **ended, carried_out_by="gitops/edge-0042")


def events() -> list[tuple[str, CloudEvent]]:
    """Return the story's facts, each with the noun of its topic, a second apart."""
    said = [facts.said(fact, NOW + timedelta(seconds=number)) for number, fact in enumerate(told())]
    return [(each.topic.name.split(".")[2], each.event) for each in said if each.event]
