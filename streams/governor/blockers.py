"""What speaks against a command: each a reason for refusing, all of them told at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from abdrift.clock import to_datetime
from abdrift.facts.base import rfc3339
from abdrift.facts.commands import Verb
from abdrift.facts.drift import Corrects
from abdrift.facts.governance import Mode, Policy
from streams.governor import approvals, breaker
from streams.governor.cells import ClusterCell, FindingCell, OwnerCell, Reason
from streams.governor.verbs import MOVES_REVISION, matching_rule
from streams.governor.work import Work

UNSURE = frozenset({"remote-cluster", "manifest-unreadable", "inventory-unknown", "objects-unknown", "deleting"})
"""A verdict's reasons that leave open what a command would do, even where some drift is proven."""
MAX_AFFECTED = 200
"""Findings that one command may name: a signed record has to hold them all, and a person to read them."""


@dataclass(frozen=True, slots=True)
class Case:
    """A command under consideration."""

    work: Work
    policy: Policy
    cluster: ClusterCell
    owner: OwnerCell
    verb: Verb
    asking: Sequence[FindingCell]
    """Findings that call for this verb."""
    affected: Sequence[FindingCell]
    """Findings that it would undo or settle, those asking among them."""
    findings: Sequence[FindingCell]
    """Every open finding of the owner."""


def refusals(case: Case) -> tuple[Reason, ...]:
    """Return every reason against the command; none if nothing speaks against it."""
    checks = (_identity, _protected, _knowledge, _freshness, _revision, _scope)
    return (*breaker.stops(case.work, case.cluster.name), *(reason for check in checks for reason in check(case)))


def stuck(case: Case) -> tuple[Reason, ...]:
    """Return why a person has to approve before anything more is tried."""
    reasons = []
    owner, most = case.owner, case.policy.backoff.max_attempts
    if owner.attempts >= most:
        text = f"{owner.attempts} attempts did not correct it; approve one more to go on"
        reasons.append(Reason("attempts-exhausted", text))
    if owner.fight:
        who = " and ".join(owner.fight.managers)
        text = f"{who} keep undoing each other on {owner.fight.object_identity}; approve or release to go on"
        reasons.append(Reason("fight", text))
    return tuple(reasons)


def _identity(case: Case) -> Iterator[Reason]:
    uid = case.cluster.uid
    if uid is None:
        yield Reason("cluster-uid-unknown", "the cluster's uid is not in the inventory: a command could not name it")
    elif any(f.cluster_uid not in (None, uid) for f in case.affected):
        yield Reason("cluster-uid-mismatch", "a finding was made in a cluster of another uid than the inventory's")
    if case.cluster.silent:
        yield Reason("cluster-silent", "the cluster has not been heard from as its heartbeat promises")


def _protected(case: Case) -> Iterator[Reason]:
    verdict, now_ms = case.owner.verdict, case.work.now_ms
    until_ms = max((f.held_until_ms for f in case.findings), default=0)
    until_ms = max(until_ms, verdict.held_until_ms if verdict else 0)
    if until_ms > now_ms:
        yield Reason("held", f"an annotation holds an object of this owner until {rfc3339(to_datetime(until_ms))}")
    if word := approvals.held(case.work, case.owner, (f.finding_id for f in case.findings)):
        until = rfc3339(to_datetime(word.until_ms))
        yield Reason("held", f"{word.by} holds {word.subject} until {until}: {word.reason}")
    if contested := [f for f in case.findings if f.contested]:
        yield Reason("contested", f"another controller rightfully owns {contested[0].object.identity} too")


def _knowledge(case: Case) -> Iterator[Reason]:
    verdict = case.owner.verdict
    if verdict is None:
        yield Reason("first-sight", "there is no verdict on this owner yet")
        return
    if any(f.suspect for f in case.findings):
        yield Reason("first-sight", "a finding rests on managedFields alone; the next reconcile settles it")
    if "mass-deletion" in verdict.reasons:
        yield Reason("mass-deletion", "too much of the cluster's inventory vanished at once")
    if case.verb is not Verb.RESUME:  # what is suspended is never settled by a reconcile: a person decides
        if verdict.unproven:
            yield Reason("first-sight", f"{verdict.unproven} objects have no proven baseline; a reconcile settles them")
        elif verdict.unknown or UNSURE.intersection(verdict.reasons):
            why = ", ".join(verdict.reasons) or "no reason given"
            yield Reason("verdict-unknown", f"what this owner's objects are is not known: {why}")
        if verdict.suspended:
            yield Reason("owner-suspended", "the owner is suspended: it would not reconcile")
    if any(f.corrects is Corrects.UNKNOWN for f in case.affected if f not in case.asking):
        yield Reason("correction-unknown", "what it would do to another finding of this owner is not known")


def _freshness(case: Case) -> Iterator[Reason]:
    verdict, limits = case.owner.verdict, case.policy.limits
    if verdict is None:
        return
    if not verdict.complete or any(not f.complete and f.seen_offset > verdict.seen_offset for f in case.affected):
        yield Reason("evidence-incomplete", "a source is not synced, unreadable or inside a gap")
    vouched_ms = max(verdict.as_of_ms, case.cluster.last_seen_ms)
    oldest_ms = min(max(f.as_of_ms, vouched_ms) for f in case.affected)
    age_seconds = (case.work.now_ms - oldest_ms) / 1000
    if age_seconds > limits.max_evidence_age_seconds:
        text = f"the newest evidence is {age_seconds:.0f} s old; {limits.max_evidence_age_seconds:g} s are allowed"
        yield Reason("stale-evidence", text)


def _revision(case: Case) -> Iterator[Reason]:
    verdict = case.owner.verdict
    if verdict is None or case.verb in MOVES_REVISION:
        return
    if verdict.artifact_revision is None or verdict.applied_revision is None:
        yield Reason("artifact-unknown", "which revision is fetched and which is applied is not known")
    elif verdict.artifact_revision != verdict.applied_revision:
        text = f"{verdict.artifact_revision} is fetched, {verdict.applied_revision} applied: it would deploy"
        yield Reason("artifact-not-applied", text)


def _scope(case: Case) -> Iterator[Reason]:
    if case.owner.overflowed or len(case.affected) > MAX_AFFECTED:
        yield Reason("too-many-findings", f"one command names {MAX_AFFECTED} findings at most")
    asking = {f.finding_id for f in case.asking}
    for finding in case.affected:
        if finding.finding_id in asking:
            continue
        rule = matching_rule(case.policy, case.cluster.labels, case.owner, finding)
        if rule is None or rule.mode is Mode.OBSERVE:
            text = f"it would undo {finding.kind} {finding.object.identity}, which the policy only observes"
            yield Reason("affects-observed", text)
            return
