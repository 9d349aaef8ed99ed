"""Whether an owner is at work: what it may be writing now is judged when it has finished.

An owner is busy while it applies, while it is being deleted, and for a while after it got something new to do (a spec,
a request, an artifact) that it has not begun. One that never begins, since it is blocked, counts as idle again.
"""

import msgspec

from streams.drift import references
from streams.drift.cells import OwnerCell
from streams.drift.work import Work

PENDING_MS = 10_000
"""For how long an owner that has something to do is believed to begin."""


def is_busy(owner: OwnerCell, now_ms: int) -> bool:
    """Whether what changes now may be the owner's own doing."""
    if owner.view.deleting or owner.view.phase == "applying":
        return True
    return owner.pending_since_ms > 0 and now_ms < owner.pending_since_ms + PENDING_MS


def pending(work: Work, cluster: str, owner: OwnerCell) -> OwnerCell:
    """Return the owner with note taken of whether it has something to do."""
    has_work = _has_work(work, cluster, owner)
    if has_work == bool(owner.pending_since_ms):
        return owner
    if has_work:
        work.wake(cluster, f"owner.pending|{owner.ref.id}", work.now_ms + PENDING_MS)
    return msgspec.structs.replace(owner, pending_since_ms=work.now_ms if has_work else 0)


def _has_work(work: Work, cluster: str, owner: OwnerCell) -> bool:
    view = owner.view
    if view.suspended or not owner.exists:
        return False
    if view.generation != view.observed_generation:
        return True
    if view.requested_at and view.requested_at != view.handled_at:
        return True
    source = work.source(cluster, view.source)
    if source is None or not source.artifact:
        return False
    return not is_attempted(owner, source.artifact, source.digest)


def is_attempted(owner: OwnerCell, artifact: str, digest: str) -> bool:
    """Whether the owner's last attempt was with that artifact."""
    view = owner.view
    if owner.ref.group == references.KUSTOMIZE_GROUP:
        return artifact in (view.attempted, view.applied)
    return is_version(view.attempted, artifact) and view.attempted_digest in ("", digest, artifact.partition("@")[2])


def is_version(release: str, artifact: str) -> bool:
    """Whether a release's chart version is that of an artifact.

    A HelmChart's revision is the version itself. An OCIRepository's is `<tag>@<digest>`, of which a release is
    `<tag>+<start of the digest>`.
    """
    tag, at, _ = artifact.partition("@")
    return release == artifact or (bool(at) and release.partition("+")[0] == tag.partition("+")[0])
