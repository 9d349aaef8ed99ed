"""Facts in: what clusters are, how they are, and what has drifted. Duplicates and stale revisions change nothing."""

from msgspec.structs import replace

from abdrift.clock import to_ms
from abdrift.facts.base import Timestamp
from abdrift.facts.drift import Certainty, Finding, FindingState, OwnerVerdict, Verdict
from abdrift.facts.health import Health, HealthScope
from abdrift.facts.inventory import ClusterInventory
from abdrift.urls import host_of
from streams.governor import breaker
from streams.governor.cells import (
    ClusterCell,
    FindingCell,
    ObjectNote,
    OwnerCell,
    VerdictCell,
    VerdictNote,
    cluster_key,
    finding_key,
    owner_key,
    verdict_key,
)
from streams.governor.work import Work

MAX_FINDINGS = 2_000
"""Findings kept of one owner; one with more is not commanded at all."""
CLOSED_KEPT_MS = 3_600_000
"""How long a closed finding is remembered against late duplicates."""


def take_inventory(work: Work, inventory: ClusterInventory) -> None:
    """Take in what a cluster is."""
    key = cluster_key(inventory.cluster.name)
    known = work.get(key, ClusterCell)
    last_seen_ms = max(_ms(inventory.last_seen), _ms(inventory.evidence.as_of))
    if known and last_seen_ms < known.last_seen_ms:
        return
    fresh = ClusterCell(
        name=inventory.cluster.name,
        uid=inventory.cluster.uid,
        labels=dict(inventory.labels),
        source_hosts=tuple(sorted({host_of(s.url) for s in inventory.git_sources})),
        last_seen_ms=last_seen_ms,
    )
    if known is None:
        work.alter(clusters=work.fleet.clusters + 1, recheck=True)
    else:
        changed = (known.uid, known.labels) != (fresh.uid, fresh.labels)
        work.alter(recheck=work.fleet.recheck or changed)
        fresh = replace(fresh, opened_ms=known.opened_ms, health_revision=known.health_revision, silent=known.silent)
    work.put(key, fresh)


def take_health(work: Work, health: Health) -> None:
    """Take in whether a cluster is heard from at all."""
    if health.scope is not HealthScope.CLUSTER or health.cluster is None:
        return
    key = cluster_key(health.cluster.name)
    known = work.get(key, ClusterCell)
    if known is None or health.revision <= known.health_revision:
        return
    silent = any(r.code == "Silent" for r in health.reasons)
    work.alter(recheck=work.fleet.recheck or silent != known.silent)
    work.put(key, replace(known, health_revision=health.revision, silent=silent))


def take_finding(work: Work, finding: Finding) -> None:
    """Take in that a finding opened, changed or closed."""
    key = finding_key(finding.finding_id)
    known = work.get(key, FindingCell)
    if known and finding.revision <= known.revision:
        return
    cell = _finding_cell(work, finding)
    if known and not known.closed:
        cell = replace(cell, settle_ms=known.settle_ms, said=known.said, said_ms=known.said_ms)
    was_open = known is not None and not known.closed and known.owner_key == cell.owner_key
    if known and not known.closed and (cell.closed or not was_open):
        _leave(work, known)
    if not cell.closed and not was_open and not _join(work, finding, cell):
        work.drop(key)
        return
    work.put(key, cell)
    work.touch(cell.owner_key)
    if not cell.closed and not cell.suspect and (known is None or known.suspect or known.closed):
        breaker.note_opening(work, cell.cluster, cell.opened_ms)


def take_verdict(work: Work, verdict: OwnerVerdict) -> None:
    """Take in what is known of an owner's objects as a whole."""
    key = owner_key(verdict.cluster.name, verdict.owner)
    owner = work.get(key, OwnerCell) or OwnerCell(key, verdict.cluster.name, ObjectNote.of(verdict.owner))
    if owner.verdict and owner.verdict.verdict_id == verdict.verdict_id and verdict.revision <= owner.verdict.revision:
        return
    if owner.verdict and owner.verdict.verdict_id != verdict.verdict_id:
        work.drop(verdict_key(owner.verdict.verdict_id))
    note = VerdictNote(
        verdict_id=verdict.verdict_id,
        revision=verdict.revision,
        unknown=verdict.verdict is Verdict.UNKNOWN,
        reasons=verdict.reasons,
        unproven=verdict.unproven,
        held_until_ms=_ms(verdict.held_until),
        suspended=verdict.suspended,
        applied_revision=verdict.applied_revision,
        artifact_revision=verdict.artifact_revision,
        as_of_ms=_ms(verdict.evidence.as_of),
        complete=verdict.evidence.complete,
        seen_offset=work.cause.offset,
    )
    work.put(key, replace(owner, ref=ObjectNote.of(verdict.owner), verdict=note))
    work.put(verdict_key(verdict.verdict_id), VerdictCell(key))
    work.touch(key)


def take_tombstone(work: Work, key: str) -> None:
    """Forget a finding, a verdict or a cluster."""
    if finding := work.get(finding_key(key), FindingCell):
        if not finding.closed:
            _leave(work, finding)
        work.drop(finding_key(key))
    elif verdict := work.get(verdict_key(key), VerdictCell):
        owner = work.get(verdict.owner_key, OwnerCell)
        assert owner is not None, "an owner with a verdict is kept"
        work.put(owner.key, replace(owner, verdict=None))
        work.drop(verdict_key(key))
    elif work.get(cluster_key(key), ClusterCell):
        # Its findings and verdicts are taken back one by one, and owners of which nothing is left are pruned.
        work.drop(cluster_key(key))
        work.alter(clusters=work.fleet.clusters - 1)


def prune(work: Work) -> None:
    """Forget closed findings whose duplicates are no longer to be expected."""
    before_ms = work.now_ms - CLOSED_KEPT_MS
    for key in [k for k, f in work.each(FindingCell) if f.closed and f.seen_ms < before_ms]:
        work.drop(key)


def _finding_cell(work: Work, finding: Finding) -> FindingCell:
    cluster = finding.cluster.name
    return FindingCell(
        finding_id=finding.finding_id,
        revision=finding.revision,
        owner_key=owner_key(cluster, finding.owner) if finding.owner else f"owner/{cluster}///{finding.finding_id}",
        cluster=cluster,
        closed=finding.state is FindingState.CLOSED,
        seen_ms=work.now_ms,
        kind=finding.kind,
        object=ObjectNote.of(finding.object),
        paths=tuple(f.path for f in finding.fields),
        managers=finding.managers,
        opened_ms=to_ms(finding.times.opened_at),
        suspect=finding.certainty is Certainty.SUSPECT,
        corrects=finding.reconcile_corrects,
        corrects_reason=finding.reconcile_corrects_reason or "",
        contested=finding.contested,
        held_until_ms=_ms(finding.held_until),
        desired_revision=finding.desired.revision if finding.desired else None,
        cluster_uid=finding.cluster.uid,
        as_of_ms=_ms(finding.evidence.as_of),
        complete=finding.evidence.complete,
        seen_offset=work.cause.offset,
    )


def _join(work: Work, finding: Finding, cell: FindingCell) -> bool:
    """Add an open finding to its owner; return whether there was room."""
    ref = ObjectNote.of(finding.owner) if finding.owner else None
    owner = work.get(cell.owner_key, OwnerCell) or OwnerCell(cell.owner_key, cell.cluster, ref)
    if len(owner.finding_ids) >= MAX_FINDINGS:
        work.put(owner.key, replace(owner, overflowed=True))
        work.touch(owner.key)
        return False
    work.put(owner.key, replace(owner, finding_ids=(*owner.finding_ids, cell.finding_id)))
    return True


def _leave(work: Work, finding: FindingCell) -> None:
    """Take a finding from its owner, which starts afresh once it has none."""
    owner = work.get(finding.owner_key, OwnerCell)
    assert owner is not None, "an open finding has an owner's cell"
    left = tuple(i for i in owner.finding_ids if i != finding.finding_id)
    owner = replace(owner, finding_ids=left)
    if not left:
        owner = replace(owner, attempts=0, next_ms=0, last_result="", overflowed=False, due_ms=0)
    work.put(owner.key, owner)
    work.touch(owner.key)


def _ms(moment: Timestamp | None) -> int:
    return to_ms(moment) if moment else 0
