"""What came of commands: it gives budgets back, and feeds back-off, breaker and fights."""

from msgspec.structs import replace

from abdrift.facts.commands import Outcome, OutcomeResult
from abdrift.facts.drift import DriftKind
from abdrift.facts.governance import Policy
from abdrift.flux import HELM_CONTROLLER, KUSTOMIZE_CONTROLLER
from streams.governor import breaker, budgets
from streams.governor.cells import (
    ClusterCell,
    CommandCell,
    Correction,
    FightNote,
    FindingCell,
    OwnerCell,
    Target,
    cluster_key,
    command_key,
    finding_key,
)
from streams.governor.work import Work

SETTLE_MS = 5_000
"""How long after a correction its findings' closing is awaited."""
COMMAND_KEPT_MS = 2 * 3_600_000
"""How long a finished command is remembered, so that a late or repeated outcome changes nothing twice."""
MAX_CORRECTIONS = 1_000
"""Kept of one owner, newest first to stay: five commands of the largest kind."""
NO_OUTCOME = "no-outcome"

_FAILURES = frozenset(
    {OutcomeResult.FAILED.value, OutcomeResult.HANDLED_NOT_CORRECTED.value, OutcomeResult.EXPIRED.value, NO_OUTCOME}
)
"""What the breaker counts. A rejection is the sink's caution, not a cluster's failure."""


def take_outcome(work: Work, outcome: Outcome) -> None:
    """Take in what a sink says of a command; of commands that are not ours, nothing."""
    command = work.get(command_key(outcome.command_id), CommandCell)
    if command is None or command.cluster != outcome.cluster.name or outcome.revision <= command.outcome_revision:
        return
    command = replace(command, outcome_revision=outcome.revision)
    work.put(command_key(command.command_id), command)
    if outcome.result is OutcomeResult.ACCEPTED:
        return
    if not command.released:
        _finish(work, command, outcome.result.value)
    elif outcome.result is OutcomeResult.CORRECTED:
        _note_correction(work, command)


def expire(work: Work) -> None:
    """Take commands that were never answered for failed, once nobody can still be carrying them out."""
    for command in sorted((c for _, c in work.each(CommandCell)), key=lambda c: (c.issued_ms, c.command_id)):
        ttl_ms = command.expires_ms - command.issued_ms
        if not command.released and work.now_ms >= command.expires_ms + ttl_ms:
            _finish(work, command, NO_OUTCOME)
        elif command.released and work.now_ms > command.expires_ms + COMMAND_KEPT_MS:
            work.drop(command_key(command.command_id))


def prune(work: Work) -> None:
    """Forget corrections outside the fight's window, and owners of which nothing is left to remember.

    Of a cluster that is forgotten neither fights nor corrections are.
    """
    for key, owner in sorted(work.each(OwnerCell), key=lambda item: item[0]):
        corrections = _recent(work, owner)
        is_used = bool(owner.finding_ids or owner.verdict or owner.command_id)
        has_past = bool(owner.fight or corrections) and work.get(cluster_key(owner.cluster), ClusterCell) is not None
        if not (is_used or has_past):
            work.drop(key)
        elif corrections != owner.corrections:
            work.put(key, replace(owner, corrections=corrections))


def see_fight(work: Work, policy: Policy, owner: OwnerCell, finding: FindingCell) -> OwnerCell:
    """Return the owner, with a fight noted if the finding's fields were corrected too often to be drifting again."""
    rounds = sum(
        c.object_identity == finding.object.identity and _overlap(c.paths, finding.paths) for c in _recent(work, owner)
    )
    if owner.fight or rounds < policy.fight.rounds:
        return owner
    theirs = finding.managers or ("a manager that left no trace",)
    note = FightNote(finding.object.identity, tuple(dict.fromkeys((_controller(owner), *theirs))), work.now_ms)
    owner = replace(owner, fight=note)
    work.put(owner.key, owner)
    return owner


def _finish(work: Work, command: CommandCell, result: str) -> None:
    budgets.release(work, command.scopes)
    work.put(command_key(command.command_id), replace(command, released=True))
    if result in _FAILURES:
        breaker.note_failure(work)
    owner = work.get(command.owner_key, OwnerCell)
    if owner is None or owner.command_id != command.command_id:
        return
    wait_ms = _backoff_ms(work, owner.attempts)
    work.put(owner.key, replace(owner, command_id=None, last_result=result, next_ms=work.now_ms + wait_ms))
    work.touch(owner.key)
    if result == OutcomeResult.CORRECTED:
        _note_correction(work, command)


def _note_correction(work: Work, command: CommandCell) -> None:
    owner = work.get(command.owner_key, OwnerCell)
    if owner is None:
        return
    # An alert is not undone by a manager; that its object was asked for twice is no fight.
    fields = (t for t in command.targets if not _is_alert(work, t))
    news = tuple(Correction(t.object_identity, t.paths, work.now_ms) for t in fields)
    corrections = (*_recent(work, owner), *news)[-MAX_CORRECTIONS:]
    work.put(owner.key, replace(owner, corrections=corrections, attempts=0, next_ms=0, last_result=""))
    for target in command.targets:
        finding = work.get(finding_key(target.finding_id), FindingCell)
        if finding and not finding.closed:
            work.put(finding_key(target.finding_id), replace(finding, settle_ms=work.now_ms + SETTLE_MS))


def _is_alert(work: Work, target: Target) -> bool:
    finding = work.get(finding_key(target.finding_id), FindingCell)
    return finding is not None and finding.kind is DriftKind.ALERT


def _recent(work: Work, owner: OwnerCell) -> tuple[Correction, ...]:
    since_ms = work.now_ms - round((work.policy or Policy()).fight.window_seconds * 1000)
    return tuple(c for c in owner.corrections if c.at_ms > since_ms)


def _backoff_ms(work: Work, attempts: int) -> int:
    backoff = (work.policy or Policy()).backoff
    seconds = backoff.initial_seconds
    for _ in range(1, attempts):
        seconds = min(seconds * backoff.factor, backoff.max_seconds)
    return round(min(seconds, backoff.max_seconds) * 1000)


def _overlap(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Return whether two sets of JSON pointers share a field; no pointers mean the whole object."""
    if not some or not others:
        return True
    return any(a == b or a.startswith(f"{b}/") or b.startswith(f"{a}/") for a in some for b in others)


def _controller(owner: OwnerCell) -> str:
    helm = owner.ref is not None and owner.ref.kind == "HelmRelease"
    return HELM_CONTROLLER if helm else KUSTOMIZE_CONTROLLER
