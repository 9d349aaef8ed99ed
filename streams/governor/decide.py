"""What is made of one owner's findings, and saying so: once, until the result or its reasons change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef
from abdrift.facts.commands import Decision, DecisionResult, Verb
from abdrift.facts.drift import DriftKind
from abdrift.facts.governance import Mode, Policy
from abdrift.signing import Signer
from abdrift.topics import DECISION, FLEET_DECISIONS
from streams.governor import approvals, budgets
from streams.governor.blockers import Case, refusals, stuck
from streams.governor.cells import (
    ClusterCell,
    CommandCell,
    FindingCell,
    OwnerCell,
    Reason,
    cluster_key,
    command_key,
    finding_key,
)
from streams.governor.commands import Warrant, issue
from streams.governor.outcomes import see_fight
from streams.governor.verbs import PRIORITY, Choice, choose, is_affected
from streams.governor.work import Work, public
from streams.step import stable_id

RECHECK_MS = 30_000
"""How often a refusal that time or other facts may lift is looked at again."""
RECHECK_KNOWLEDGE_MS = 5_000
"""The same, where only news of the cluster is missing."""
REPEAT_MS = 30_000
"""How long a deferral is not said again for a mere change of its reason."""

_KNOWLEDGE = frozenset({"cluster-unknown", "cluster-uid-unknown", "cluster-silent", "stale-evidence"})


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What was decided about some findings of an owner."""

    findings: Sequence[FindingCell]
    result: DecisionResult
    reasons: tuple[Reason, ...]
    verb: Verb | None = None
    retry_ms: int = 0
    """When to decide again; 0 where only news can change it."""
    command_id: str | None = None


def decide(work: Work, key: str, signer: Signer) -> None:
    """Decide about an owner's open findings; command where nothing speaks against it."""
    owner = work.get(key, OwnerCell)
    if owner is None or not owner.finding_ids:
        return
    findings = [f for i in sorted(owner.finding_ids) if (f := work.get(finding_key(i), FindingCell))]
    conclusions, retries = _conclusions(work, owner, findings, signer)
    for conclusion in conclusions:
        _say(work, owner, conclusion)
    retries += [c.retry_ms for c in conclusions if c.retry_ms]
    owner = work.get(key, OwnerCell)
    assert owner is not None, "deciding forgets no owner"
    work.put(key, replace(owner, due_ms=min(retries, default=0)))


def _conclusions(
    work: Work, owner: OwnerCell, findings: Sequence[FindingCell], signer: Signer
) -> tuple[list[Conclusion], list[int]]:
    """Return the conclusions, and when else to decide again."""
    policy = work.policy
    if policy is None:
        reason = Reason("no-policy", "no policy is in force: findings are only observed")
        return [Conclusion(findings, DecisionResult.OBSERVED, (reason,))], []
    cluster = work.get(cluster_key(owner.cluster), ClusterCell)
    if cluster is None:
        return [_without_cluster(work, policy, findings)], []
    in_flight = _in_flight(work, owner)
    settling = [f.settle_ms for f in findings if f.settle_ms > work.now_ms]
    ready = [f for f in findings if f.settle_ms <= work.now_ms and f.finding_id not in in_flight]
    choices = [choose(policy, cluster.labels, owner, f) for f in ready]
    conclusions = _without_verb(choices)
    for verb in PRIORITY:
        chosen = [c for c in choices if c.verb is verb]
        if chosen:
            case = _case(work, policy, cluster, verb, chosen, findings)
            conclusions.append(_conclude(case, chosen, signer))
    return conclusions, settling


def _without_cluster(work: Work, policy: Policy, findings: Sequence[FindingCell]) -> Conclusion:
    if all(rule.mode is Mode.OBSERVE for rule in policy.rules):
        reason = Reason("observe", f"policy {policy.name}@{policy.revision} only observes")
        return Conclusion(findings, DecisionResult.OBSERVED, (reason,))
    reason = Reason("cluster-unknown", "the cluster is not in the inventory: no rule can be matched")
    return Conclusion(findings, DecisionResult.REFUSED, (reason,), retry_ms=work.now_ms + RECHECK_KNOWLEDGE_MS)


def _without_verb(choices: Iterable[Choice]) -> list[Conclusion]:
    groups: dict[tuple[DecisionResult, Reason], list[FindingCell]] = {}
    for choice in choices:
        if choice.reason is not None:
            groups.setdefault((choice.result, choice.reason), []).append(choice.finding)
    return [Conclusion(members, result, (reason,)) for (result, reason), members in groups.items()]


def _in_flight(work: Work, owner: OwnerCell) -> frozenset[str]:
    command = work.get(command_key(owner.command_id), CommandCell) if owner.command_id else None
    return frozenset(t.finding_id for t in command.targets) if command else frozenset()


def _case(
    work: Work,
    policy: Policy,
    cluster: ClusterCell,
    verb: Verb,
    chosen: Sequence[Choice],
    findings: Sequence[FindingCell],
) -> Case:
    asking = [c.finding for c in chosen]
    asked = {f.finding_id for f in asking}
    affected = [f for f in findings if f.finding_id in asked or (is_affected(f) and f.settle_ms <= work.now_ms)]
    owner = work.get(asking[0].owner_key, OwnerCell)
    assert owner is not None, "findings under consideration have an owner"
    for finding in (f for f in asking if f.kind is not DriftKind.ALERT):
        owner = see_fight(work, policy, owner, finding)
    return Case(work, policy, cluster, owner, verb, asking, affected, findings)


def _conclude(case: Case, chosen: Sequence[Choice], signer: Signer) -> Conclusion:
    """Ask every question in order; the first that is answered with no ends it."""
    work, asking = case.work, case.asking
    if reasons := refusals(case):
        soon = all(r.code in _KNOWLEDGE for r in reasons)
        retry_ms = work.now_ms + (RECHECK_KNOWLEDGE_MS if soon else RECHECK_MS)
        return Conclusion(asking, DecisionResult.REFUSED, reasons, case.verb, retry_ms)
    if work.not_now:
        return Conclusion(asking, DecisionResult.DEFERRED, work.not_now, case.verb, work.now_ms + 1_000)
    ids = [f.finding_id for f in case.affected]
    keys = approvals.covering(work, case.owner, case.verb, decision_id(case.owner, case.verb, ids), ids)
    needs_person = stuck(case)
    if needs_person and not keys:
        return Conclusion(asking, DecisionResult.REFUSED, needs_person, case.verb)
    if not keys and (reason := _wants_approval(case, chosen)):
        return Conclusion(case.affected, DecisionResult.AWAITING_APPROVAL, (reason,), case.verb)
    if waiting := _waiting(case, chosen, approved=bool(keys)):
        reason, retry_ms = waiting
        return Conclusion(asking, DecisionResult.DEFERRED, (reason,), case.verb, retry_ms)
    rule = chosen[0].rule
    assert rule is not None, "a verb is chosen under a rule"
    command_id = issue(case, Warrant(rule, keys, clean_slate=bool(needs_person)), signer)
    reason = Reason("allowed", f"rule {rule.name!r} allows {case.verb} and nothing speaks against it")
    return Conclusion(case.affected, DecisionResult.COMMANDED, (reason,), case.verb, command_id=command_id)


def _wants_approval(case: Case, chosen: Sequence[Choice]) -> Reason | None:
    if case.verb not in approvals.FREE_VERBS:
        return Reason("verb-needs-approval", f"{case.verb} needs a person's approval each time")
    modes = {c.rule.name: c.rule.mode for c in chosen if c.rule}
    for name, mode in modes.items():
        if mode is Mode.APPROVE:
            return Reason("mode-approve", f"rule {name!r} asks for a person's approval")
    return None


def _waiting(case: Case, chosen: Sequence[Choice], *, approved: bool) -> tuple[Reason, int] | None:
    """Return what to wait for, and until when (0: until news of it). An approval waives grace and back-off."""
    work, owner = case.work, case.owner
    if owner.command_id:
        return Reason("in-flight", f"command {owner.command_id} to this owner is not done"), 0
    if not approved:
        grace_ms = max(c.finding.opened_ms + round(c.rule.grace_seconds * 1000) for c in chosen if c.rule)
        if grace_ms > work.now_ms:
            return Reason("grace", "it may still be put right by whoever did it"), grace_ms
        if owner.next_ms > work.now_ms:
            text = f"attempt {owner.attempts} ended as {owner.last_result}; waiting before the next"
            return Reason("back-off", text), owner.next_ms
    return budgets.shortage(work, budgets.scopes(case.cluster), case.policy.budgets)


def decision_id(owner: OwnerCell, verb: Verb | None, finding_ids: Iterable[str]) -> str:
    """Return the id of a decision about these findings: the same while they and the verb are."""
    return stable_id("decision", owner.key, verb or "-", *sorted(finding_ids))


def _say(work: Work, owner: OwnerCell, conclusion: Conclusion) -> None:
    """Publish a conclusion to whom it is news, and remember that it was said."""
    ids = [f.finding_id for f in conclusion.findings]
    said = "|".join((conclusion.result, conclusion.verb or "-", *sorted({r.code for r in conclusion.reasons})))
    whole = conclusion.result in (DecisionResult.COMMANDED, DecisionResult.AWAITING_APPROVAL)
    if whole:
        said = f"{said}|{conclusion.command_id or decision_id(owner, conclusion.verb, ids)}"
    news = [f for f in conclusion.findings if _is_news(work, f, said, conclusion.result)]
    if not news:
        return
    about = conclusion.findings if whole else news
    for finding in about:
        work.put(finding_key(finding.finding_id), replace(finding, said=said, said_ms=work.now_ms))
    ids = [f.finding_id for f in about]
    cluster = work.get(cluster_key(owner.cluster), ClusterCell)
    decision = Decision(
        decision_id=decision_id(owner, conclusion.verb, ids),
        cluster=ClusterRef(name=owner.cluster, uid=cluster.uid if cluster else None),
        owner=owner.ref.ref() if owner.ref else None,
        finding_ids=tuple(ids),
        result=conclusion.result,
        verb=conclusion.verb,
        reasons=public(conclusion.reasons),
        command_id=conclusion.command_id,
        policy=f"{work.policy.name}@{work.policy.revision}" if work.policy else None,
        decided_at=to_datetime(work.now_ms),
        retry_at=to_datetime(conclusion.retry_ms) if conclusion.retry_ms else None,
    )
    work.say(FLEET_DECISIONS, DECISION, decision.decision_id, owner.cluster, decision)


def _is_news(work: Work, finding: FindingCell, said: str, result: DecisionResult) -> bool:
    if finding.said == said:
        return False
    deferred_again = result is DecisionResult.DEFERRED and finding.said.startswith(DecisionResult.DEFERRED)
    return not deferred_again or work.now_ms - finding.said_ms >= REPEAT_MS
