"""Judging what agents see: workloads, GitOps objects and nodes, each by its own status, its Events and its silence."""

import msgspec

from abdrift.signals.objects import ObjectRow
from streams.health import hysteresis, levels, rollouts, warnings, wholes
from streams.health.assess import ASSESSORS, worst
from streams.health.cells import Reason, Resource, resource_id
from streams.health.pools import pool_of
from streams.health.work import Work


def see(work: Work, row: ObjectRow) -> str | None:
    """Take an object as an agent saw it; what an agent sent before its restart no longer counts.

    Returns:
        Its key where it was not known before.

    Raises:
        ValueError, TypeError, AttributeError: the object is not of its kind's shape.

    """
    scope, assess = ASSESSORS[row.group, row.kind]
    key = _key(row, scope)
    document = row.parsed()
    found = tuple(map(Reason.of, assess(document)))
    before = work.resource(key)
    known = before or Resource(
        scope=scope,
        cluster=row.cluster,
        group=row.group,
        kind=row.kind,
        namespace=row.namespace,
        name=row.name,
        since_ms=work.now_ms,
    )
    if _is_late(work, known):
        return None
    seen = msgspec.structs.replace(
        known,
        uid=row.uid,
        version=row.version,
        pool=pool_of(document) if scope == "node" else "",
        epoch=work.epoch,
        seen_ms=row.observed_ms,
        found=found,
    )
    judge(work, key, known, rollouts.noted(row, document, before, seen))
    return key if before is None else None


def gone(work: Work, row: ObjectRow) -> None:
    """Take a deletion."""
    scope, _ = ASSESSORS[row.group, row.kind]
    key = _key(row, scope)
    known = work.resource(key)
    if known is not None and not _is_late(work, known):
        forget(work, key, known)


def judge(work: Work, key: str, before: Resource, seen: Resource | None = None) -> None:
    """Propose the status that all reasons give together, and publish where something settled.

    Args:
        work: The batch.
        key: The resource's id.
        before: The resource as it was kept.
        seen: The resource with what is new of it, if anything is.

    """
    given = (seen or before).found + warnings.reasons(work, key) + levels.reasons(work, key)
    if work.cluster(before.cluster).silent:
        given = (Reason("Silent", "its cluster is silent", "unknown", work.now_ms),)
    after = hysteresis.propose(seen or before, worst(given).value, given, work.now_ms)
    work.schedule(key, before.cluster, hysteresis.due_ms(after))
    wholes.keep(work, key, before, rollouts.blamed(work, before, after))


def forget(work: Work, key: str, resource: Resource) -> None:
    """Let go of a resource that is no longer there."""
    warnings.SHELF.drop(work, key)
    work.drop(key, resource)
    wholes.count(work, resource, resource.status, None)
    levels.forget(work, key, (resource.cluster, resource.namespace))


def _key(row: ObjectRow, scope: str) -> str:
    return resource_id(scope, row.cluster, row.group, row.kind, row.namespace, row.name)


def _is_late(work: Work, known: Resource) -> bool:
    """Whether the row at hand was spooled by a run of the same agent before the one that saw the resource last."""
    source, epoch = known.epoch
    return work.epoch[0] == source and work.epoch[1] < epoch
