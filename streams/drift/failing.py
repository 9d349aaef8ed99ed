"""`failing`: the controller tried and could not. Waiting for a dependency is not failing."""

from dataclasses import dataclass

import msgspec

from abdrift.facts.drift import Corrects, DriftKind, GitCommit
from streams.drift import findings, references, remotes
from streams.drift.cells import OwnerCell, Ref, SourceCell
from streams.drift.work import Draft, Work

WAITING_REASONS = frozenset({"DependencyNotReady"})


@dataclass(frozen=True, slots=True)
class Condition:
    """What Ready says."""

    ready: bool | None
    stalled: bool
    reason: str
    message: str


def judge_owner(work: Work, cluster: str, owner: OwnerCell, desired: GitCommit | None) -> OwnerCell:
    """Judge a Kustomization or HelmRelease; return it with since when it fails."""
    view = owner.view
    said = Condition(view.ready, view.stalled, view.reason, view.message)
    since_ms = _since(work, owner.failing_since_ms, said, exists=owner.exists)
    source = work.source(cluster, view.source)
    draft = Draft(
        cluster=cluster,
        kind=DriftKind.FAILING,
        ref=owner.ref,
        owner=owner.ref,
        message=_message(owner.ref, said),
        corrects=Corrects.NO if view.suspended or view.stalled else Corrects.UNKNOWN,
        corrects_reason="the owner is suspended" if view.suspended else "the controller retries by itself",
        held_until_ms=view.hold_until_ms,
        applied_revision=view.applied,
        artifact_revision=source.artifact if source else "",
        owner_generation=view.generation,
        desired=desired,
        attempted=_attempted(work, cluster, owner, source),
        reason=said.reason,
        source=source,
        kinds=(references.kind_of(owner.ref.id),),
    )
    _tell(work, draft, said, since_ms, f"owner.failing|{owner.ref.id}")
    return msgspec.structs.replace(owner, failing_since_ms=since_ms)


def judge_source(work: Work, cluster: str, source: SourceCell) -> SourceCell:
    """Judge a source; return it with since when it fails."""
    said = Condition(source.ready, source.stalled, source.reason, source.message)
    since_ms = _since(work, source.failing_since_ms, said, exists=source.exists)
    draft = Draft(
        cluster=cluster,
        kind=DriftKind.FAILING,
        ref=source.ref,
        owner=None,
        message=_message(source.ref, said),
        corrects=Corrects.UNKNOWN,
        corrects_reason="the controller retries by itself",
        held_until_ms=source.hold_until_ms,
        artifact_revision=source.artifact,
        reason=said.reason,
        source=source,
        kinds=(references.kind_of(source.ref.id),),
    )
    _tell(work, draft, said, since_ms, f"source.failing|{source.ref.id}")
    return msgspec.structs.replace(source, failing_since_ms=since_ms)


def _attempted(work: Work, cluster: str, owner: OwnerCell, source: SourceCell | None) -> GitCommit | None:
    """Return what could not be applied. Its author is remembered once told: the remote's head moves on, a fix above."""
    revision = owner.view.attempted or (source.artifact if source else "")
    if not revision:
        return None
    told = remotes.commit_of(work, source, revision) if source else GitCommit(revision=revision)
    if told.author is None:
        before = findings.still_open(work, cluster, DriftKind.FAILING, owner.ref.id)
        if before and before.attempted and before.attempted.revision == revision:
            return before.attempted
    return told


def _message(ref: Ref, said: Condition) -> str:
    return f"{references.spoken(ref)} {'is stalled' if said.stalled else 'fails'}: {said.reason}: {said.message}"


def _since(work: Work, since_ms: int, said: Condition, *, exists: bool) -> int:
    """Return since when it fails; between two attempts Ready is unknown, and what failed fails still."""
    if not exists or said.ready is True or said.reason in WAITING_REASONS:
        return 0
    if said.ready is False or said.stalled:
        return since_ms or work.now_ms
    return since_ms


def _tell(work: Work, draft: Draft, said: Condition, since_ms: int, again: str) -> None:
    if not since_ms:
        work.close(draft.cluster, draft.kind, draft.ref.id, "corrected")
        return
    if said.ready is None:
        return
    due_ms = since_ms + int(work.policy.allowance.failing_after_seconds * 1000)
    if work.now_ms >= due_ms:
        work.report(draft)
    else:
        work.wake(draft.cluster, again, due_ms)
