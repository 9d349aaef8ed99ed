"""Facts as documents: one function for each type of fact."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from abdrift import topics
from abdrift.clock import parse_rfc3339_ms, to_datetime
from abdrift.cloudevents import CloudEvent
from abdrift.facts.base import rfc3339
from abdrift.facts.commands import BreakerState, Command, Decision, DecisionReason, Outcome, OutcomeResult
from abdrift.facts.drift import Finding, FindingState, OwnerVerdict
from abdrift.facts.governance import Approval, Policy
from abdrift.facts.health import Health
from abdrift.facts.incidents import CauseKind, Incident, IncidentState
from abdrift.facts.inventory import ClusterInventory
from abdrift.topics import FactType
from sinks.elasticsearch.documents.parts import (
    ECS_VERSION,
    PLACES,
    Fields,
    as_text,
    cluster,
    distinct,
    evidence,
    git,
    named,
    owner,
    resource,
)

Build = Callable[[Any, int], Fields]
"""Of a fact's data and its time in milliseconds."""

_ENDED: Final = {
    OutcomeResult.ACCEPTED: "unknown",
    OutcomeResult.CORRECTED: "success",
}
"""Outcomes in ECS' words; all others are failures."""


def document(event: CloudEvent, noun: str, append_ms: int) -> Fields | None:
    """Return a fact's document; None for a type that is not known here.

    Args:
        event: The fact.
        noun: Of its topic.
        append_ms: When Kafka took it.

    Raises:
        pydantic.ValidationError: its data is not what its type says.
        ValueError: its time is none.

    """
    known = _TYPES.get(event.type)
    if known is None:
        return None
    fact, name, build = known
    at_ms = parse_rfc3339_ms(event.time)
    if at_ms is None:
        raise ValueError(f"time {event.time!r} is no RFC 3339 time")
    fields: Fields = {
        "@timestamp": event.time,
        "ecs.version": ECS_VERSION,
        "event.id": event.id,
        "event.module": "abdrift",
        "event.dataset": f"abdrift.{noun}",
        "event.provider": event.source,
        "event.created": rfc3339(to_datetime(append_ms)),
        "abdrift.type": name,
        "abdrift.subject": event.subject,
        "abdrift.fact": event.data,
    }
    return fields | build(fact.model.model_validate(event.data), at_ms)


def _finding(finding: Finding, at_ms: int) -> Fields:
    times, is_open = finding.times, finding.state is FindingState.OPEN
    begun = times.changed_at or times.opened_at
    managers = distinct((*finding.managers, *(change.by.manager for change in finding.fields if change.by)))
    commit = finding.desired or finding.attempted
    return {
        **_event("alert", "configuration", "change", "drift", _step(finding.revision, is_open=is_open)),
        **cluster(finding.cluster),
        **resource(finding.object),
        **owner(finding.owner),
        **git(commit, applied=finding.applied_revision, source=finding.source_url),
        **evidence(finding.evidence, at_ms),
        **_span(begun, times.closed_at),
        "message": finding.message,
        "event.reason": finding.closed_because or finding.reason,
        "related.user": distinct((*managers, commit.author if commit else None)),
        "abdrift.open": is_open,
        "abdrift.revision": finding.revision,
        "abdrift.finding.id": [finding.finding_id],
        "abdrift.finding.kind": finding.kind.value,
        "abdrift.finding.state": finding.state.value,
        "abdrift.finding.certainty": finding.certainty.value,
        "abdrift.finding.opened_at": rfc3339(times.opened_at),
        "abdrift.finding.reconcile_corrects": finding.reconcile_corrects.value,
        "abdrift.finding.contested": finding.contested,
        "abdrift.finding.held_until": _time(finding.held_until),
        "abdrift.finding.recurrences": finding.recurrences,
        "abdrift.finding.managers": managers,
        "abdrift.field.path": [change.path for change in finding.fields],
        "abdrift.field.op": distinct(change.op for change in finding.fields),
        "abdrift.field.old": [as_text(change.old) for change in finding.fields if change.old is not None],
        "abdrift.field.new": [as_text(change.new) for change in finding.fields if change.new is not None],
    }


def _verdict(verdict: OwnerVerdict, at_ms: int) -> Fields:
    return {
        **_event("state", "configuration", "info", "verdict", verdict.verdict.value),
        **cluster(verdict.cluster),
        **resource(verdict.owner),
        **owner(verdict.owner),
        **git(None, applied=verdict.applied_revision),
        **evidence(verdict.evidence, at_ms),
        "message": f"{named(verdict.owner)} is {verdict.verdict.value}",
        "abdrift.revision": verdict.revision,
        "abdrift.reasons": list(verdict.reasons),
        "abdrift.verdict": verdict.verdict.value,
        "abdrift.objects": verdict.objects,
        "abdrift.open_findings": verdict.open_findings,
    }


def _inventory(known: ClusterInventory, at_ms: int) -> Fields:
    return {
        **_event("state", "configuration", "info", "inventory", "known"),
        **cluster(known.cluster),
        **evidence(known.evidence, at_ms),
        "message": f"{known.cluster.name} is {'declared' if known.declared else 'not declared'}",
        "labels": known.labels,
        **{f"abdrift.cluster.{kind}": known.labels.get(kind) for kind in PLACES},
        "orchestrator.cluster.version": known.kubernetes_version,
        "abdrift.objects": known.inventoried_objects,
        "abdrift.inventory.declared": known.declared,
        "abdrift.inventory.first_seen": rfc3339(known.first_seen),
        "abdrift.inventory.last_seen": _time(known.last_seen),
    }


def _health(health: Health, at_ms: int) -> Fields:
    members = health.members.model_dump() if health.members else {}
    return {
        **_event("state", "host" if health.scope == "node" else "process", "info", "health", health.status.value),
        **cluster(health.cluster),
        **resource(health.object),
        **evidence(health.evidence, at_ms),
        **_span(health.since, None),
        "message": f"{health.scope.value} {health.name} is {health.status.value}"
        + "".join(f": {reason.message}" for reason in health.reasons[:1]),
        "abdrift.revision": health.revision,
        "abdrift.reasons": distinct(reason.code for reason in health.reasons),
        "abdrift.health.resource": health.resource_id,
        "abdrift.health.scope": health.scope.value,
        "abdrift.health.name": health.name,
        "abdrift.health.status": health.status.value,
        "abdrift.health.score": health.score,
        "abdrift.health.last_seen": _time(health.last_seen),
        **{f"abdrift.health.members.{status}": count for status, count in members.items()},
    }


def _incident(incident: Incident, at_ms: int) -> Fields:
    cause, radius = incident.cause, incident.blast_radius
    is_open = incident.state is IncidentState.OPEN
    revision = cause.name if cause.kind is CauseKind.GIT_REVISION else None
    found = [finding for member in incident.members for finding in member.finding_ids]
    return {
        **_event("alert", "configuration", "info", "incident", _step(incident.revision, is_open=is_open)),
        **git(cause.commit, applied=revision, source=cause.source),
        **evidence(incident.evidence, at_ms),
        **_span(incident.opened_at, incident.closed_at),
        "message": incident.title,
        "event.reason": incident.closed_because,
        "orchestrator.type": "kubernetes",
        "orchestrator.cluster.name": distinct(member.cluster.name for member in incident.members),
        "abdrift.open": is_open,
        "abdrift.revision": incident.revision,
        "abdrift.finding.id": distinct(found),
        "abdrift.incident.id": incident.incident_id,
        "abdrift.incident.state": incident.state.value,
        "abdrift.incident.severity": incident.severity.value,
        "abdrift.incident.cause.kind": cause.kind.value,
        "abdrift.incident.cause.name": cause.name,
        "abdrift.incident.clusters": radius.clusters,
        "abdrift.incident.clusters_ever": radius.clusters_ever,
        "abdrift.incident.objects": radius.objects,
        "abdrift.incident.first.cluster": incident.first.cluster.name,
        "abdrift.incident.first.message": incident.first.message,
        "abdrift.incident.superseded_by": incident.superseded_by,
    }


def _policy(policy: Policy, _at_ms: int) -> Fields:
    return {
        **_event("event", "configuration", "change", "policy", "applied"),
        "message": f"policy {policy.name} is revision {policy.revision}",
        "user.name": policy.applied_by,
        "related.user": distinct((policy.applied_by,)),
        "abdrift.revision": policy.revision,
        "abdrift.policy": f"{policy.name}@{policy.revision}",
    }


def _approval(approval: Approval, _at_ms: int) -> Fields:
    return {
        **_event("event", "configuration", "change", "approval", approval.action.value),
        "message": f"{approval.by}: {approval.action.value} {approval.subject_id}: {approval.reason}",
        "event.reason": approval.reason,
        "event.end": _time(approval.until),
        "orchestrator.cluster.name": approval.cluster,
        "user.name": approval.by,
        "related.user": [approval.by],
        "abdrift.approval.id": approval.approval_id,
        "abdrift.approval.action": approval.action.value,
        "abdrift.approval.subject": approval.subject_id,
        "abdrift.command.verb": approval.verb.value if approval.verb else None,
    }


def _command(command: Command, _at_ms: int) -> Fields:
    return {
        **_event("event", "configuration", "change", "command", "issued"),
        **cluster(command.cluster),
        **resource(command.target),
        **owner(command.target),
        **git(None, applied=command.expected_revision),
        "message": f"{command.verb.value} {named(command.target)}: {command.reason}",
        "event.reason": command.reason,
        "abdrift.finding.id": list(command.finding_ids),
        "abdrift.command.id": command.command_id,
        "abdrift.command.verb": command.verb.value,
        "abdrift.command.attempt": command.attempt,
        "abdrift.command.fencing": command.fencing,
        "abdrift.command.expires_at": rfc3339(command.expires_at),
        "abdrift.policy": command.policy,
        "abdrift.approval.id": command.approval_id,
    }


def _decision(decision: Decision, _at_ms: int) -> Fields:
    what = named(decision.owner) if decision.owner else "the fleet"
    return {
        **_event("event", "configuration", "info", "decision", decision.result.value),
        **cluster(decision.cluster),
        **resource(decision.owner),
        **owner(decision.owner),
        **_reasons(decision.reasons),
        "message": f"{what}: {decision.result.value}{_because(decision.reasons)}",
        "abdrift.finding.id": list(decision.finding_ids),
        "abdrift.command.id": decision.command_id,
        "abdrift.command.verb": decision.verb.value if decision.verb else None,
        "abdrift.decision.id": decision.decision_id,
        "abdrift.decision.result": decision.result.value,
        "abdrift.decision.retry_at": _time(decision.retry_at),
        "abdrift.policy": decision.policy,
    }


def _breaker(breaker: BreakerState, _at_ms: int) -> Fields:
    word = "open" if breaker.open else "closed"
    return {
        **_event("state", "configuration", "info", "breaker", word),
        **_reasons(breaker.reasons),
        **_span(breaker.since, None),
        "message": f"the breaker is {word}{_because(breaker.reasons)}",
        "user.name": breaker.frozen_by,
        "related.user": distinct((breaker.frozen_by,)),
        "abdrift.open": breaker.open,
        "abdrift.revision": breaker.revision,
        "abdrift.commands_in_flight": breaker.commands_in_flight,
    }


def _outcome(outcome: Outcome, _at_ms: int) -> Fields:
    target = named(outcome.target) if outcome.target else outcome.command_id
    return {
        **_event("event", "configuration", "change", "outcome", outcome.result.value),
        **cluster(outcome.cluster),
        **resource(outcome.target),
        **owner(outcome.target),
        **git(None, applied=outcome.applied_revision),
        **_reasons(outcome.reasons),
        **_span(outcome.issued_at or outcome.received_at, outcome.finished_at),
        "message": f"{target}: {outcome.result.value}{_because(outcome.reasons)}",
        "event.outcome": _ENDED.get(outcome.result, "failure"),
        "abdrift.revision": outcome.revision,
        "abdrift.finding.id": list(outcome.finding_ids),
        "abdrift.command.id": outcome.command_id,
        "abdrift.command.verb": outcome.verb.value if outcome.verb else None,
        "abdrift.outcome.result": outcome.result.value,
        "abdrift.outcome.patched_at": _time(outcome.patched_at),
        "abdrift.outcome.ready_at": _time(outcome.ready_at),
        "abdrift.outcome.corrected_at": _time(outcome.corrected_at),
        "abdrift.outcome.carried_out_by": outcome.carried_out_by,
    }


def _event(kind: str, category: str, sort: str, noun: str, word: str) -> Fields:
    """Return ECS' four words on an event, and its action: the noun with what it did or is."""
    return {"event.kind": kind, "event.category": [category], "event.type": [sort], "event.action": f"{noun}-{word}"}


def _step(revision: int, *, is_open: bool) -> str:
    """Return where in its life a finding or an incident is."""
    if not is_open:
        return "closed"
    return "opened" if revision == 1 else "changed"


def _span(begun: datetime | None, ended: datetime | None) -> Fields:
    fields: Fields = {"event.start": _time(begun), "event.end": _time(ended)}
    if begun and ended:
        fields["event.duration"] = max(0, round((ended - begun).total_seconds() * 1e9))
    return fields


def _reasons(reasons: tuple[DecisionReason, ...]) -> Fields:
    return {
        "event.reason": reasons[0].message if reasons else None,
        "abdrift.reasons": distinct(r.code for r in reasons),
    }


def _because(reasons: tuple[DecisionReason, ...]) -> str:
    return f" ({reasons[0].message})" if reasons else ""


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


_TYPES: Final[dict[str, tuple[FactType, str, Build]]] = {
    fact.name: (fact, name, build)
    for fact, name, build in (
        (topics.FINDING, "finding", _finding),
        (topics.VERDICT, "verdict", _verdict),
        (topics.INVENTORY, "inventory", _inventory),
        (topics.HEALTH, "health", _health),
        (topics.INCIDENT, "incident", _incident),
        (topics.POLICY, "policy", _policy),
        (topics.APPROVAL, "approval", _approval),
        (topics.COMMAND, "command", _command),
        (topics.DECISION, "decision", _decision),
        (topics.BREAKER, "breaker", _breaker),
        (topics.OUTCOME, "outcome", _outcome),
    )
}
