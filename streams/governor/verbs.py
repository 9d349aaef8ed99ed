"""Which verb would help a finding, and whether the policy lets it be used."""

from collections.abc import Mapping
from dataclasses import dataclass

from abdrift.facts.commands import RESOLVE_ALERT, DecisionResult, Verb
from abdrift.facts.drift import Corrects, DriftKind
from abdrift.facts.governance import Mode, Policy, Rule
from streams.governor.cells import FindingCell, OwnerCell, Reason

PRIORITY = (Verb.RESUME, Verb.RECONCILE, Verb.RECONCILE_WITH_SOURCE, Verb.FORCE)
"""The order in which verbs are tried where one owner's findings call for several."""
MOVES_REVISION = frozenset({Verb.RESUME, Verb.RECONCILE_WITH_SOURCE})
"""Verbs after which another revision may be applied: that is what a person approves."""

_EFFECTS = {
    DriftKind.CHANGED: "restore-fields",
    DriftKind.DELETED: "recreate-object",
    DriftKind.BEHIND: "apply-revision",
    DriftKind.FAILING: "retry-apply",
    DriftKind.SUSPENDED: "resume-reconciliation",
    DriftKind.ALERT: RESOLVE_ALERT,
}


_LISTED = frozenset({DriftKind.FAILING, DriftKind.ALERT})
"""Kinds that a rule must name to be acted on: nothing differs that a reconcile would surely undo."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What could be done about one finding: a verb, or a result with its reason."""

    finding: FindingCell
    rule: Rule | None = None
    verb: Verb | None = None
    result: DecisionResult = DecisionResult.OBSERVED
    reason: Reason | None = None


def matching_rule(policy: Policy, labels: Mapping[str, str], owner: OwnerCell, finding: FindingCell) -> Rule | None:
    """Return the first rule that matches a finding."""
    for rule in policy.rules:
        fits = (
            rule.clusters.matches(dict(labels))
            and (not rule.namespaces or finding.object.namespace in rule.namespaces)
            and (not rule.owner_kinds or (owner.ref is not None and owner.ref.kind in rule.owner_kinds))
            and (not rule.kinds or finding.kind in rule.kinds)
        )
        if fits:
            return rule
    return None


def choose(policy: Policy, labels: Mapping[str, str], owner: OwnerCell, finding: FindingCell) -> Choice:
    """Return what could be done about a finding under the policy."""
    if finding.kind is DriftKind.ORPHANED:
        text = "it is in no inventory: nothing that GitOps could be asked for would remove it"
        return Choice(finding, reason=Reason("orphaned", text))
    if owner.ref is None:
        return Choice(finding, reason=Reason("no-owner", "no Kustomization or HelmRelease is known to own it"))
    rule = matching_rule(policy, labels, owner, finding)
    if rule is None:
        return Choice(finding, reason=Reason("no-rule", "no rule of the policy matches it"))
    if rule.mode is Mode.OBSERVE:
        return Choice(finding, rule, reason=Reason("observe", f"rule {rule.name!r} only observes"))
    if finding.kind in _LISTED and finding.kind not in rule.kinds:
        text = f"that needs `{finding.kind}` among the kinds of rule {rule.name!r}"
        return Choice(finding, rule, reason=Reason(f"{finding.kind}-not-listed", text))
    verb, reason = _helpful(owner, finding)
    if verb is None:
        return Choice(finding, rule, None, DecisionResult.REFUSED, reason)
    if verb not in rule.verbs:
        text = f"{verb} is not among the verbs of rule {rule.name!r}"
        return Choice(finding, rule, None, DecisionResult.REFUSED, Reason("verb-not-allowed", text))
    return Choice(finding, rule, verb)


def is_affected(finding: FindingCell) -> bool:
    """Return whether a command to the owner may undo a finding that did not ask for it.

    Each verb that can be chosen makes the controller apply everything the owner holds.
    """
    return finding.kind in (DriftKind.CHANGED, DriftKind.DELETED) and finding.corrects is not Corrects.NO


def effect(finding: FindingCell) -> str:
    """Return what a command will do about a finding, in one stable word."""
    return _EFFECTS[finding.kind]


def _helpful(owner: OwnerCell, finding: FindingCell) -> tuple[Verb | None, Reason | None]:
    match finding.kind:
        case DriftKind.CHANGED | DriftKind.DELETED:
            return _for_objects(owner, finding)
        case DriftKind.BEHIND:
            return Verb.RECONCILE_WITH_SOURCE, None
        case DriftKind.SUSPENDED:
            if owner.ref is not None and owner.ref.identity == finding.object.identity:
                return Verb.RESUME, None
            text = f"{finding.object.kind} {finding.object.name} opts out by annotation; remove that by hand"
            return None, Reason("suspended-by-annotation", text)
        case DriftKind.ALERT if finding.corrects is Corrects.NO:
            return None, Reason("reconcile-would-not-correct", f"a reconcile would not help: {finding.corrects_reason}")
        case _:
            return Verb.RECONCILE, None


def _for_objects(owner: OwnerCell, finding: FindingCell) -> tuple[Verb | None, Reason | None]:
    if finding.corrects is Corrects.YES:
        return Verb.RECONCILE, None
    if finding.corrects is Corrects.UNKNOWN:
        return None, Reason("correction-unknown", "whether a reconcile would correct it is not known")
    if owner.ref is not None and owner.ref.kind == "HelmRelease" and "only a forced upgrade" in finding.corrects_reason:
        return Verb.FORCE, None
    why = finding.corrects_reason or "another manager's field, or opted out"
    return None, Reason("reconcile-would-not-correct", f"a reconcile would leave it as it is: {why}")
