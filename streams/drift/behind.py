"""`behind`: Git, or the artifact, is ahead of what is applied for longer than allowed.

The remote's head counts where a GitRepository's remote is asked; otherwise what the source has fetched does, as for
OCI and Helm sources and buckets.
"""

import msgspec

from abdrift.facts.drift import Corrects, DriftKind, GitCommit
from abdrift.signals.objects import RemoteHead
from streams.drift import activity, references, remotes
from streams.drift.cells import OwnerCell, SourceCell
from streams.drift.work import Draft, Work


def target_of(work: Work, cluster: str, owner: OwnerCell) -> GitCommit | None:
    """Return what the owner should be at; None where that is not known."""
    source = work.source(cluster, owner.view.source)
    if source is None or not source.exists:
        return None
    head = remotes.head_of(work, source)
    if head is not None and not _is_overtaken(owner, source, head):
        return remotes.commit(source, head)
    return GitCommit(revision=source.artifact) if source.artifact else None


def judge(work: Work, cluster: str, owner: OwnerCell, target: GitCommit | None) -> OwnerCell:
    """Judge an owner; return it with since when it is behind what it was first seen to be behind of."""
    oid = owner.ref.id
    source = work.source(cluster, owner.view.source)
    if not owner.exists or target is None or source is None or _is_at(work, owner, source):
        work.close(cluster, DriftKind.BEHIND, oid, "corrected" if owner.exists else "gone")
        return msgspec.structs.replace(owner, behind_since_ms=0, behind_target="")
    since_ms = owner.behind_since_ms or work.now_ms
    due_ms = since_ms + int(work.policy.allowance.behind_after_seconds * 1000)
    if work.now_ms >= due_ms:
        work.report(_draft(work, cluster, owner, source, target))
    else:
        work.wake(cluster, f"owner.behind|{oid}", due_ms)
    return msgspec.structs.replace(owner, behind_since_ms=since_ms, behind_target=target.revision)


def _is_overtaken(owner: OwnerCell, source: SourceCell, head: RemoteHead) -> bool:
    """Whether the source has fetched what was pushed since the remote was asked last: the head known is applied."""
    return remotes.is_ahead(source, head) and owner.view.applied.rpartition("sha1:")[2] == head.sha


def _is_at(work: Work, owner: OwnerCell, source: SourceCell) -> bool:
    head = remotes.head_of(work, source)
    if head is not None and remotes.is_ahead(source, head):
        return False
    if owner.ref.group == references.KUSTOMIZE_GROUP:
        return not source.artifact or owner.view.applied == source.artifact
    return not source.artifact or activity.is_version(owner.view.applied, source.artifact)


def _draft(work: Work, cluster: str, owner: OwnerCell, source: SourceCell, target: GitCommit) -> Draft:
    stale = target.revision != source.artifact and remotes.head_of(work, source) is not None
    why = f"its source has fetched {source.artifact or 'nothing'}" if stale else "its source has it"
    view = owner.view
    corrects, reason = _corrects(owner, stale=stale)
    return Draft(
        cluster=cluster,
        kind=DriftKind.BEHIND,
        ref=owner.ref,
        owner=owner.ref,
        message=f"{references.spoken(owner.ref)} is at {view.applied or 'nothing'}, not at {target.revision}; {why}",
        corrects=corrects,
        corrects_reason=reason,
        held_until_ms=view.hold_until_ms,
        changed_ms=int(target.time.timestamp() * 1000) if target.time else None,
        applied_revision=view.applied,
        artifact_revision=source.artifact,
        owner_generation=view.generation,
        desired=target,
        source=source,
        kinds=(references.kind_of(owner.ref.id), references.kind_of(source.ref.id)),
        remote_url=source.url if remotes.head_of(work, source) is not None else "",
    )


def _corrects(owner: OwnerCell, *, stale: bool) -> tuple[Corrects, str | None]:
    if owner.view.suspended:
        return Corrects.NO, "the owner is suspended"
    if stale:
        return Corrects.NO, "the source has not fetched it: reconcile the source first"
    if owner.view.ready is False:
        return Corrects.UNKNOWN, f"the owner is failing: {owner.view.reason}"
    return Corrects.YES, None
