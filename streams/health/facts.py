"""Turns a resource's cell into the health fact that other teams read."""

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef, Evidence, ObjectRef, SourceEvidence
from abdrift.facts.health import Health, HealthReason, HealthScope, HealthStatus
from abdrift.topics import FLEET_HEALTH, HEALTH
from streams.health import rollup
from streams.health.cells import Cluster, Resource
from streams.step import Cause, Outgoing, Publication, publish


def health_fact(key: str, resource: Resource, cluster: Cluster, cause: Cause, at_ms: int) -> Outgoing:
    """Return the fact of one resource as it stands."""
    about = Publication(
        topic=FLEET_HEALTH,
        fact_type=HEALTH,
        subject=key,
        source="health",
        cause=cause,
        at_ms=at_ms,
        cluster=resource.cluster,
    )
    counted = resource.scope in ("namespace", "cluster")
    model = Health(
        resource_id=key,
        revision=resource.revision,
        scope=HealthScope(resource.scope),
        cluster=ClusterRef(name=resource.cluster, uid=cluster.uid or None),
        object=_object(resource),
        name=resource.name or resource.cluster,
        pool=resource.pool or None,
        rollout_revision=resource.rollout or None,
        status=HealthStatus(resource.status),
        score=rollup.score(resource.members) if counted else rollup.status_score(resource.status),
        reasons=tuple(
            HealthReason(
                code=r.code,
                message=r.message,
                status=HealthStatus(r.status),
                since=to_datetime(r.since_ms) if r.since_ms else None,
                source=r.source or None,
            )
            for r in resource.reasons
        ),
        members=rollup.members(resource.members) if counted else None,
        since=to_datetime(resource.since_ms),
        last_seen=to_datetime(cluster.heartbeat_ms) if cluster.heartbeat_ms else None,
        evidence=evidence(cluster, resource),
    )
    return publish(about, model)


def evidence(cluster: Cluster, resource: Resource) -> Evidence:
    """Return what is known of the agent that a cluster's facts rest on, and of what else speaks against a resource."""
    as_of = to_datetime(cluster.vouched_ms or cluster.heartbeat_ms) if cluster.heartbeat_ms else None
    complete = bool(cluster.heartbeat_ms) and not cluster.silent and not cluster.lost
    sources = [SourceEvidence(source=f"kubernetes/{cluster.name}", as_of=as_of, complete=complete)]
    for name in sorted({one.source for one in resource.reasons if one.as_of_ms}):
        told = [one for one in resource.reasons if one.source == name and one.as_of_ms]
        sources.append(
            SourceEvidence(
                source=f"{name}/{cluster.name}",
                what=", ".join(one.code for one in told),
                as_of=to_datetime(min(one.as_of_ms for one in told)),
                complete=all(one.status != HealthStatus.UNKNOWN for one in told),
            )
        )
    vouched = [one.as_of for one in sources if one.as_of is not None]
    return Evidence(
        as_of=min(vouched, default=None), complete=all(one.complete for one in sources), sources=tuple(sources)
    )


def _object(resource: Resource) -> ObjectRef | None:
    if not resource.kind:
        return None
    return ObjectRef(
        group=resource.group,
        version=resource.version,
        kind=resource.kind,
        namespace=resource.namespace or None,
        name=resource.name,
        uid=resource.uid or None,
    )
