"""What people say: approvals, holds and freezes, believed only when signed by an operator's key.

Each subject has a slot for approvals, one for holds (lifted by a release) and one for freezes (lifted by a thaw). A
word that is not newer than the slot's is a duplicate or a replay and changes nothing.
"""

from collections.abc import Iterable

import msgspec
from pydantic import ValidationError

from abdrift.clock import to_ms
from abdrift.cloudevents import CloudEvent
from abdrift.facts.commands import Verb
from abdrift.facts.governance import Approval, ApprovalAction, Policy
from abdrift.partitions import FLEET_SCOPE
from abdrift.signing import SignatureRefused, Trust
from abdrift.topics import APPROVAL, POLICY
from streams.governor import breaker
from streams.governor.cells import (
    CommandCell,
    FindingCell,
    OwnerCell,
    PolicyCell,
    Reason,
    WordCell,
    cluster_key,
    command_key,
    finding_key,
    policy_key,
)
from streams.governor.work import Work

APPROVAL_TTL_MS = 24 * 3_600_000
"""An approval without an end is good for a day; older ones are taken for replays."""
MAX_SKEW_MS = 5 * 60_000
"""How far an operator's clock may be ahead of the broker's."""
FREE_VERBS = frozenset({Verb.RECONCILE, Verb.REFRESH})
"""Verbs that a policy may allow without a person."""

_SLOTS = {
    ApprovalAction.APPROVE: "approve",
    ApprovalAction.HOLD: "hold",
    ApprovalAction.RELEASE: "hold",
    ApprovalAction.FREEZE: "freeze",
    ApprovalAction.THAW: "freeze",
}


def take_policy(work: Work, event: CloudEvent, trust: Trust) -> None:
    """Put a policy in force if it is signed, valid and newer than the one of its name."""
    try:
        trust.verify(POLICY.name, event.data)
        policy = Policy.model_validate(event.data)
    except SignatureRefused as error:
        work.audit(event.id, None, "bad-signature", f"policy {event.subject!r}: {error} ({error.reason})")
        return
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        work.audit(event.id, None, "policy-invalid", f"policy {event.subject!r}: {where}: {first['msg']}")
        return
    known = work.get(policy_key(policy.name), PolicyCell)
    if known is None or policy.revision > known.revision:
        data = policy.model_dump_json(exclude_none=True)
        work.put(policy_key(policy.name), PolicyCell(policy.name, policy.revision, data))
        work.alter(recheck=True)


def take_word(work: Work, event: CloudEvent, trust: Trust) -> None:
    """Take a person's word in, or say why not."""
    try:
        trust.verify(APPROVAL.name, event.data)
        approval = Approval.model_validate(event.data)
    except SignatureRefused as error:
        work.audit(event.id, event.cluster, "bad-signature", f"word on {event.subject!r}: {error} ({error.reason})")
        return
    except ValidationError as error:
        work.audit(
            event.id, event.cluster, "approval-invalid", f"word on {event.subject!r}: {error.errors()[0]['msg']}"
        )
        return
    word = _word(approval)
    key = f"word/{_SLOTS[word.action]}/{word.subject}"
    known = work.get(key, WordCell)
    if known and word.issued_ms <= known.issued_ms:
        return
    if refusal := _untimely(work, word):
        work.audit(event.id, event.cluster, refusal.code, f"{word.action} of {word.subject!r}: {refusal.message}")
        return
    work.put(key, word)
    _apply(work, word)


def held(work: Work, owner: OwnerCell, subjects: Iterable[str]) -> WordCell | None:
    """Return the hold in force on any of the subjects, their owner or their cluster."""
    for subject in (*subjects, owner.key, cluster_key(owner.cluster), FLEET_SCOPE):
        word = work.get(f"word/hold/{subject}", WordCell)
        if word and word.action is ApprovalAction.HOLD and word.until_ms > work.now_ms:
            return word
    return None


def covering(work: Work, owner: OwnerCell, verb: Verb, decision_id: str, finding_ids: Iterable[str]) -> list[str]:
    """Return the keys of unused approvals that together cover a command; none if something stays uncovered."""
    ids = set(finding_ids)
    key = _usable(work, decision_id, verb, names_verb=True) or _usable(work, owner.key, verb)
    if key:
        return [key]
    last = owner.last_command_id and work.get(command_key(owner.last_command_id), CommandCell)
    if last and last.verb is verb and ids <= {t.finding_id for t in last.targets}:
        key = _usable(work, last.command_id, verb, names_verb=True)
        if key:
            return [key]
    keys = [_usable(work, finding_id, verb) for finding_id in sorted(ids)]
    return [k for k in keys if k] if all(keys) else []


def spend(work: Work, keys: Iterable[str], command_id: str) -> str | None:
    """Mark approvals as used by a command and return the first one's id."""
    first = None
    for key in keys:
        word = work.get(key, WordCell)
        assert word is not None, "an approval is spent in the input that found it"
        assert word.used_by is None, "an approval is spent once"
        work.put(key, msgspec.structs.replace(word, used_by=command_id))
        first = first or word.approval_id
    return first


def prune(work: Work) -> None:
    """Forget words that are over and whose replays would be refused or change nothing."""
    over = [k for k, word in work.each(WordCell) if _is_over(work, word)]
    for key in over:
        work.drop(key)


def _is_over(work: Work, word: WordCell) -> bool:
    end_ms = max(word.until_ms, word.issued_ms + APPROVAL_TTL_MS)
    stands = word.action is ApprovalAction.FREEZE and not word.until_ms
    return not stands and end_ms + MAX_SKEW_MS < work.now_ms


def _word(approval: Approval) -> WordCell:
    return WordCell(
        action=approval.action,
        approval_id=approval.approval_id,
        subject=approval.subject_id,
        by=approval.by,
        reason=approval.reason,
        issued_ms=to_ms(approval.issued_at),
        until_ms=to_ms(approval.until) if approval.until else 0,
        verb=approval.verb,
    )


def _untimely(work: Work, word: WordCell) -> Reason | None:
    fleet_wide = word.subject == FLEET_SCOPE or word.subject.startswith("cluster/")
    if _SLOTS[word.action] == "freeze" and not fleet_wide:
        return Reason("approval-invalid", "only `fleet` and `cluster/<name>` can be frozen; hold the rest")
    if word.action is ApprovalAction.FREEZE:
        return None  # a freeze only makes things safer, whatever the clock of whoever asks for it
    if word.issued_ms > work.now_ms + MAX_SKEW_MS:
        return Reason("issued-in-future", "its clock is ahead of the broker's; set it and say it again")
    if (word.until_ms or word.issued_ms + APPROVAL_TTL_MS) <= work.now_ms:
        return Reason("approval-expired", "it ended before it arrived; say it again")
    thaws_fleet = word.action is ApprovalAction.THAW and word.subject == FLEET_SCOPE
    if thaws_fleet and word.issued_ms <= work.fleet.breaker_since_ms:
        return Reason("thaw-too-early", "it was issued before the breaker opened; look at why, then thaw again")
    return None


def _apply(work: Work, word: WordCell) -> None:
    if word.subject == FLEET_SCOPE and _SLOTS[word.action] == "freeze":
        if word.action is ApprovalAction.THAW:
            breaker.close(work)
        breaker.announce(work)
    owner = _owner_of(work, word.subject)
    if owner is None:
        work.alter(recheck=True)
        return
    if word.action is ApprovalAction.RELEASE:
        work.put(owner.key, msgspec.structs.replace(owner, fight=None, corrections=(), attempts=0, next_ms=0))
    work.touch(owner.key)


def _owner_of(work: Work, subject: str) -> OwnerCell | None:
    if subject.startswith("owner/"):
        return work.get(subject, OwnerCell)
    finding = work.get(finding_key(subject), FindingCell)
    command = work.get(command_key(subject), CommandCell)
    key = finding.owner_key if finding else command.owner_key if command else None
    return work.get(key, OwnerCell) if key else None


def _usable(work: Work, subject: str, verb: Verb, *, names_verb: bool = False) -> str | None:
    """Return the key of an unused approval. A subject that names no verb approves a free one only."""
    key = f"word/approve/{subject}"
    word = work.get(key, WordCell)
    if word is None or word.used_by is not None:
        return None
    if (word.until_ms or word.issued_ms + APPROVAL_TTL_MS) <= work.now_ms:
        return None
    fits = word.verb is verb or (word.verb is None and (names_verb or verb in FREE_VERBS))
    return key if fits else None
