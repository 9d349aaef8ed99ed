"""Health: how a resource is, from a workload up to the fleet."""

from enum import StrEnum

from pydantic import Field

from abdrift.facts.base import ClusterRef, Evidence, Fact, ObjectRef, Timestamp


class HealthStatus(StrEnum):
    """Ordered from best to worst knowledge: no evidence is `unknown`, never `healthy`."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"


class HealthScope(StrEnum):
    """What kind of resource a health fact is about."""

    WORKLOAD = "workload"
    NAMESPACE = "namespace"
    GITOPS = "gitops"
    NODE = "node"
    CLUSTER = "cluster"
    SITE = "site"
    REGION = "region"
    FLEET = "fleet"


class HealthReason(Fact):
    """One thing that speaks against full health."""

    code: str = Field(description="A stable CamelCase word, e.g. ProgressDeadlineExceeded, NotReady, Silent.")
    message: str
    status: HealthStatus = Field(description="The status this reason alone would give.")
    since: Timestamp | None = None
    source: str | None = Field(default=None, description="Where it was seen, e.g. condition, events.")


class MemberCounts(Fact):
    """How many members a rollup has in each state."""

    healthy: int = 0
    degraded: int = 0
    failing: int = 0
    unknown: int = 0


class Health(Fact):
    """How one resource is. Subject: `resource_id`."""

    resource_id: str = Field(description="scope/cluster/group/kind/namespace/name, with what does not apply left out.")
    revision: int = Field(ge=1)
    scope: HealthScope
    cluster: ClusterRef | None = None
    object: ObjectRef | None = None
    name: str = Field(description="The resource's own name, e.g. the site's.")
    pool: str | None = Field(default=None, description="Of a node: its pool, where a label says so.")
    rollout_revision: str | None = Field(
        default=None,
        description="Of a failing workload: the Git revision that its newest rollout came with, by what its "
        "Kustomization attempted when its spec changed. Absent where that is not known, or the Kustomization fails.",
    )
    status: HealthStatus
    score: float = Field(ge=0, le=100, description="100 is healthy; a rollup's is the mean of its members'.")
    reasons: tuple[HealthReason, ...] = ()
    members: MemberCounts | None = Field(default=None, description="For rollups.")
    since: Timestamp = Field(description="When this status began.")
    last_seen: Timestamp | None = None
    evidence: Evidence
