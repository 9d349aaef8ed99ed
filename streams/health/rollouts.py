"""Which Git revision a workload's newest rollout came with: the one that its Kustomization had just begun with.

A Kustomization that does not wait for health is ready while what it applied never becomes healthy. When a workload's
spec changed and when its owner began with which revision tell the two together. Both by the clock of the one agent
that saw them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from abdrift.facts.health import HealthStatus
from abdrift.signals.objects import ObjectRow, Op
from streams.health.cells import Attempt, Resource, resource_id
from streams.health.work import Work

APPLY_MS = 300_000
"""So long after its owner began with a revision a workload may be changed by it."""
JITTER_MS = 10_000
"""Kinds are watched one by one: a workload may be seen before its owner."""
ATTEMPTS_KEPT = 4
"""Of one owner: a rollout is given up ten minutes after it began, and commits may have come since."""
_GROUP = "kustomize.toolkit.fluxcd.io"


def noted(row: ObjectRow, document: Mapping[str, Any], before: Resource | None, seen: Resource) -> Resource:
    """Return a resource with what an owner attempts, or when a workload's spec changed and who owns it.

    Raises:
        ValueError, TypeError, AttributeError: the object is not of its kind's shape.

    """
    if (row.group, row.kind) == (_GROUP, "Kustomization"):
        return msgspec.structs.replace(seen, attempts=_attempts(document, seen.attempts, row.observed_ms))
    if seen.scope != "workload":
        return seen
    metadata = document.get("metadata") or {}
    generation = int(metadata.get("generation") or 0)
    changed_ms = seen.changed_ms
    if before is None:
        changed_ms = row.observed_ms if row.op == Op.ADDED else 0
    elif seen.generation and generation != seen.generation:
        changed_ms = row.observed_ms
    owner = _owner(row.cluster, metadata.get("labels") or {})
    return msgspec.structs.replace(seen, generation=generation, changed_ms=changed_ms, owner=owner)


def blamed(work: Work, before: Resource, after: Resource) -> Resource:
    """Return a workload with the revision that its newest rollout came with, while it fails; none where not known."""
    if after.scope != "workload":
        return after
    revision = ""
    if after.status == HealthStatus.FAILING:
        is_same = before.changed_ms == after.changed_ms
        revision = (before.rollout if is_same else "") or _revision(work, after)
    return after if revision == after.rollout else msgspec.structs.replace(after, rollout=revision)


def _attempts(document: Mapping[str, Any], known: tuple[Attempt, ...], observed_ms: int) -> tuple[Attempt, ...]:
    revision = str((document.get("status") or {}).get("lastAttemptedRevision") or "")
    if not revision or (known and known[-1].revision == revision):
        return known
    # Of the first one that is seen nobody knows when it began.
    return (*known, Attempt(revision, observed_ms if known else 0))[-ATTEMPTS_KEPT:]


def _owner(cluster: str, labels: Mapping[str, Any]) -> str:
    name, namespace = labels.get(f"{_GROUP}/name"), labels.get(f"{_GROUP}/namespace")
    if not (isinstance(name, str) and isinstance(namespace, str)):
        return ""
    return resource_id("gitops", cluster, _GROUP, "Kustomization", namespace, name)


def _revision(work: Work, workload: Resource) -> str:
    owner = work.resource(workload.owner) if workload.owner and workload.changed_ms else None
    if owner is None or owner.status == HealthStatus.FAILING:
        return ""  # an owner that fails speaks for itself
    fitting = [
        one.revision
        for one in owner.attempts
        if one.began_ms and -JITTER_MS <= workload.changed_ms - one.began_ms <= APPLY_MS
    ]
    return fitting[-1] if fitting else ""
